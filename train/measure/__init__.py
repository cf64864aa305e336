"""What is measured of a policy: metrics, baselines, intervals, situations, and the reports that tell them."""
