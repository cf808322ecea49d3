"""The core: takes a call, reaches an upstream, gives back what comes. Knows neither Flask nor the database.

Read it along the straight line: ``run`` → ``connect`` → ``tap``; ``transport`` and ``wire`` lie beneath, ``watch`` and
``drain`` beside.
"""
