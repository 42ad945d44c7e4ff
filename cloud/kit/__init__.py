"""The kit: database, migrations, errors, pages, languages, clock. It knows no child, no gate and no school."""
