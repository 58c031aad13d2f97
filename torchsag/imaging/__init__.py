"""What the microscope does: place a map at a pose, missing wedge, CTF, masks, noise."""
