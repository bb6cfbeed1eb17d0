"""The site that is measured: the settings of the README, and tasks that do little."""
