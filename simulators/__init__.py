"""The world around Portillon, made up from a seed: a school, phones, mornings, outages; demo and benchmarks."""
