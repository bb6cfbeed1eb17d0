"""That the measurements measure. How fast anything is, no test says."""
