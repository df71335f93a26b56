"""What every Ticketing service needs at run time; README.md shows the layers."""
