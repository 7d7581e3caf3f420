#!/usr/bin/env python3
"""A game that knows nothing of the web: it reads lines and writes lines."""
import random

number = random.randint(1, 100)
print("I think of a number from 1 to 100. Which?", flush=True)
while True:
    try:
        guess = int(input())
    except ValueError:
        print("That is no number.", flush=True)
    except EOFError:
        break
    else:
        if guess == number:
            print("That is it! I think of another one.", flush=True)
            number = random.randint(1, 100)
        else:
            print("More than that." if guess < number else "Less than that.", flush=True)
