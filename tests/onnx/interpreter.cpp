// This program of tests has the naive interpreter as well.
#include "support/interpreter.cpp"
