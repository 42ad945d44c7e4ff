"""Children, guardians, escorts and staff: who is who, and who may collect whom."""
