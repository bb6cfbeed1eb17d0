"""A site whose processes kill themselves at named points."""
