"""What the microscope does to a map: placement at a pose, projection, wedge, CTF, dose, detector; and masks."""
