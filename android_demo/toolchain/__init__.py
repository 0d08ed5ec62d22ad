"""What `make android` runs: fetches tools, compiles, tests, checks and assembles, without Gradle.

Python's standard library only. `android_demo/android.mk` says in which order.
"""
