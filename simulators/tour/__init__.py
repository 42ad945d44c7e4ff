"""The tour: phone, gate, school and console of one running demo, side by side in a browser."""
