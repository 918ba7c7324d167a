#pragma once

#include <cmath>

// What layers that divide do to errors on the way back (arXiv 1910.11127): they scale parts of a
// signal by different factors, and on the way back the error of each part by the inverse.

namespace thimble {

// Of a leaky ReLU, in dB: -10 log10 of 4 / ((1 + slope^2) (1 + 1 / slope^2)), equation 28, of a
// signal as often above as below zero.
inline double leaky_loss_db(double slope) {
  const double square = slope * slope;
  return -10 * std::log10(4 / ((1 + square) * (1 + 1 / square)));
}

// Of a batch norm, in dB, before its weights are known: channels of one scale lose nothing; scales
// between a floor of 0.1 and some 2, as training leaves them, about this (equation 22, corrected).
inline constexpr double kNormLossDb = 5;

}  // namespace thimble
