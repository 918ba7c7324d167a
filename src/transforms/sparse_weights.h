#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// How weights are made sparse, and how their active positions change while they train.
struct SparseWeights {
  double sparsity = 0;               // share of the positions that are not active, in [0, 1)
  std::string method = "rigl";       // static | set | rigl | mest
  std::string distribution = "erk";  // uniform | erk: how layers share the active positions
  std::string format = "positions";  // positions | blocks (of 16 neighbouring outputs) | N:M
  int64_t every = 100;               // steps between changes
  int64_t until = 0;                 // from this step on nothing changes; 0: there is none
  double drop = 0.3;                 // share of a layer's active positions that the first replaces
  double gradient = 1;               // mest: what a gradient counts beside a magnitude
  bool explored = false;             // note which positions were ever active
};

// Names that the fields take.
std::vector<std::string> sparse_methods();
std::vector<std::string> sparse_distributions();
std::vector<std::string> sparse_formats();  // beside N:M

// "2:4": of each 4 neighbouring input channels, at the same tap of the kernel, 2 are active.
struct Groups {
  int64_t active = 0, size = 0;
  double sparsity() const { return 1 - static_cast<double>(active) / static_cast<double>(size); }
};
// Nothing for another format. Throws UserError for an N:M that cannot be.
std::optional<Groups> groups_of(const std::string& format);

// Convolutions and linear layers of a forward graph get sparse weights: values and an index of
// active positions are what is kept from step to step, and a node `densify` writes a weight out for
// the layer that reads it. Dense stay: the first convolution, those in groups (depthwise), biases
// and normalisation. N:M is the same share in each layer; there layers stay dense as well whose
// input channels M does not divide. Throws UserError when the settings make no sense for this
// network.
Graph with_sparse_weights(const Graph& forward, const SparseWeights& how);
bool has_sparse_weights(const Graph& graph);
// "`method`, 235000 of 2350000 positions active"
std::string describe_sparse_weights(const Graph& graph, const std::string& method);

// In a training graph: the gradient of a weight is gathered as soon as it is made, and the weight
// is written out once more just before the node that needs it for the gradient of its input. So one
// dense tensor of a layer is there at a time, each laid out as its reader likes.
Graph with_short_dense_moments(const Graph& training);

// Appends to a training graph what changes the active positions as `how` says, behind the
// optimizer's step.
Graph with_changing_positions(const Graph& training, const SparseWeights& how);

// The share of each layer's positions that is active, for layers of these shapes (erk:
// Erdos-Renyi-Kernel, as in RigL, arXiv 1911.11134): `density` of all of them together, none more
// than all of its own.
std::vector<double> layer_densities(const std::vector<Shape>& layers, double density,
                                    const std::string& distribution);

}  // namespace thimble
