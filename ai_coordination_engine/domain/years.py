"""The years in which schedules may fire."""

FIRST_YEAR, LAST_YEAR = 1970, 2199  # the limits of AWS; they apply to every schedule
