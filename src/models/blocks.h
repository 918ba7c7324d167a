#pragma once

#include <string>

#include "models/model.h"
#include "ops/core/builder.h"

namespace thimble {

// A square convolution, padded so that stride 1 keeps the image size.
struct Conv {
  int64_t out_channels = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
};

// `channels * width` as the nearest multiple of 8, never below 8 nor 10% under (MobileNetV2's rule,
// arXiv 1801.04381; kernels like multiples of 8).
int64_t scaled(int64_t channels, double width);

// The tensor "images" that the options ask for.
TensorId input_images(GraphBuilder& b, const ModelOptions& options);

// Convolution, normalisation, plus `addend` if any, then `activation` ("none", "relu", "relu6",
// "leaky_relu").
// `name` is the convolution's; the normalisation's has "norm" in place of "conv".
TensorId conv_norm_act(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                       TensorId src, const Conv& conv, const std::string& activation,
                       TensorId addend = kNoTensor);

// Normalisation, plus `addend` if any, then `activation`. `slope` is leaky_relu's below zero; 0:
// its usual one.
TensorId norm_act(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                  TensorId src, const std::string& activation, TensorId addend = kNoTensor,
                  double slope = 0);

// The mean over each channel's pixels, dropout if `dropout` > 0, layer "fc", loss.
void classify_pooled(GraphBuilder& b, const ModelOptions& options, TensorId src,
                     double dropout = 0);

}  // namespace thimble
