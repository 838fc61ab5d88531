"""What tests let a child process with a time limit do."""

import os
import time


def pid_of(announce):
    announce("naming itself")
    return os.getpid()


def sleep(announce):
    announce(f"sleeping in {os.getpid()}")
    time.sleep(1000)


def fail(announce):
    raise ValueError("first line\nsecond line")


def exit_with_3(announce):
    os._exit(3)
