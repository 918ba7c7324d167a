#pragma once

#include "models/network.h"
#include "ops/core/builder.h"

namespace thimble {

// A network as it comes from a file: pad, convolution, norm, relu6; a block whose projection is
// added to what it read; pool, flatten, and `classes` logits (0: it ends in 8 features).
inline Network small_network(int64_t classes) {
  Network n;
  n.name = "small";
  n.input = "input";
  n.output = classes > 0 ? "scores" : "flat";
  n.image = {3, 9, 9};
  const auto weight = [&](const std::string& name, const Shape& shape) {
    n.parameters.push_back({name, shape, Role::weight, {Init::Kind::normal, 0.3}});
  };
  const auto conv = [&](const std::string& name, const std::string& from, const Shape& shape,
                        int64_t stride, std::vector<int64_t> padding, int64_t groups) {
    weight(name + ".weight", shape);
    n.layers.push_back({"conv2d",
                        name,
                        {from, name + ".weight"},
                        {name + "_out"},
                        {{"out_channels", shape[0]},
                         {"kernel", ints({shape[2], shape[3]})},
                         {"stride", both(stride)},
                         {"padding", ints(std::move(padding))},
                         {"groups", groups}}});
  };
  const auto norm = [&](const std::string& name, const std::string& from) {
    n.layers.push_back({"batch_norm",
                        name,
                        {from, "", name + ".weight", name + ".bias", name + ".mean", name + ".var"},
                        {name + "_out"},
                        {{"epsilon", 1e-3}}});
    const Init one = {Init::Kind::constant, 1};
    n.parameters.push_back({name + ".weight", {8}, Role::weight, one});
    n.parameters.push_back({name + ".bias", {8}, Role::weight, {Init::Kind::normal, 0.1}});
    n.parameters.push_back({name + ".mean", {8}, Role::statistic, {Init::Kind::normal, 0.1}});
    n.parameters.push_back({name + ".var", {8}, Role::statistic, one});
  };
  n.layers.push_back({"pad", "pad", {"input"}, {"padded"}, {{"padding", ints({0, 0, 1, 1})}}});
  conv("stem", "padded", {8, 3, 3, 3}, 2, {0, 0, 0, 0}, 1);
  norm("stem_norm", "stem_out");
  n.layers.push_back({"relu6", "stem_act", {"stem_norm_out"}, {"x"}, {}});
  conv("deep", "x", {8, 1, 3, 3}, 1, {1, 1, 1, 1}, 8);
  norm("deep_norm", "deep_out");
  n.layers.push_back({"relu", "deep_act", {"deep_norm_out"}, {"y"}, {}});
  conv("project", "y", {8, 8, 1, 1}, 1, {0, 0, 0, 0}, 1);
  norm("project_norm", "project_out");
  n.layers.push_back({"add", "join", {"x", "project_norm_out"}, {"z"}, {}});
  n.layers.push_back({"global_average_pool", "pool", {"z"}, {"pooled"}, {}});
  n.layers.push_back({"flatten", "flat", {"pooled"}, {"flat"}, {}});
  if (classes == 0) return n;
  weight("fc.weight", {classes, 8});
  weight("fc.bias", {classes});
  n.layers.push_back({"linear",
                      "fc",
                      {"flat", "fc.weight", "fc.bias"},
                      {"scores"},
                      {{"out_features", classes}, {"bias", int64_t{1}}}});
  return n;
}

// Of a model for such a network: what `resolve_options` would fill in.
inline ModelOptions small_options(int64_t classes, const std::string& norm = "batch") {
  ModelOptions o;
  o.batch = 2;
  o.channels = 3;
  o.height = o.width_px = 9;
  o.classes = classes;
  o.norm = norm;
  return o;
}

}  // namespace thimble
