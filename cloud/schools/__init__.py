"""Districts, sites, schools, classes: where everything else belongs."""
