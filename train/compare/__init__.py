"""Many runs beside each other: plans of comparisons and sweeps, their results, and the page that shows them."""
