#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <vector>

#include "backends/backend.h"
#include "base/parallel.h"
#include "base/random.h"
#include "memory/bind.h"
#include "ops/core/builder.h"
#include "ops/core/sparse.h"
#include "runtime/arena.h"

// A pointwise convolution on active blocks beside the dense one of the same backend, forward and
// both gradients, on the same values: bench/sparse_conv2d/run.py.
//
//   bench_sparse_conv2d IN OUT SIDE BATCH SPARSITY ROUNDS THREADS

namespace thimble {
namespace {

struct Case {
  int64_t in, out, side, batch;
  double sparsity;
};

std::vector<int64_t> drawn_units(const Case& c) {
  const int64_t all = c.out / 16 * c.in;
  std::vector<int64_t> units(static_cast<size_t>(
      std::max<int64_t>(1, std::llround((1 - c.sparsity) * static_cast<double>(all)))));
  const Permutation permutation(all, 1, 1);
  for (size_t i = 0; i < units.size(); ++i)
    units[i] = permutation.permuted(static_cast<int64_t>(i));
  std::sort(units.begin(), units.end());
  return units;
}

// x -> y; gradients of x and of the weight from a given gradient of y.
Graph graph_of(const Case& c, bool sparse) {
  Graph g;
  g.name = sparse ? "sparse" : "dense";
  const auto map = [&](const char* name, int64_t channels) {
    return g.add_tensor(
        {name, {c.batch, channels, c.side, c.side}, ElementType::f32, Role::activation, {}, false});
  };
  const auto weight = [&](const char* name, const Shape& shape, ElementType type) {
    return g.add_tensor({name, shape, type, Role::weight, {}, true});
  };
  const TensorId x = map("x", c.in), dy = map("dy", c.out);
  const std::vector<int64_t> shape = {c.out, c.in, 1, 1};
  if (!sparse) {
    const TensorId w = weight("w", {c.out, c.in, 1, 1}, ElementType::f32);
    const Attributes a = {{"out_channels", c.out}, {"kernel", both(1)}};
    Attributes of_data = a;
    of_data.set("image", both(c.side));
    append_node(g, Phase::forward, "conv2d", "c", {x, w}, a);
    append_node(g, Phase::backward, "conv2d_backward_data", "c", {w, dy}, of_data);
    append_node(g, Phase::backward, "conv2d_backward_weights", "c", {x, dy}, a);
    return g;
  }
  const auto units = static_cast<int64_t>(drawn_units(c).size());
  const TensorId w = weight("w", {units * 16}, ElementType::f32);
  const TensorId active = weight(
      "w.active", {index_bytes(SparseShape({c.out, c.in, 1, 1}, 16, 1), units)}, ElementType::u8);
  const Attributes a = {{"shape", shape}};
  Attributes of_weights = a;
  of_weights.set("values", units * 16);
  append_node(g, Phase::forward, "sparse_conv2d", "c", {x, w, active}, a);
  append_node(g, Phase::backward, "sparse_conv2d_backward_data", "c", {w, active, dy}, a);
  append_node(g, Phase::backward, "sparse_conv2d_backward_weights", "c", {x, dy, active},
              of_weights);
  return g;
}

// The steps of one way, each on memory of its own.
class Contestant {
 public:
  Contestant(const Case& c, bool sparse)
      : graph_(graph_of(c, sparse)), backend_(make_backend("auto")) {
    std::vector<NamedLayout> layouts;
    schedule_ = make_schedule(graph_, *backend_, layouts);
    for (const Buffer& b : schedule_.buffers) {
      addresses_.buffers.push_back(
          memory_.emplace_back(std::make_unique<Arena>(b.bytes + 64))->data());
    }
    for (const Step& s : schedule_.steps) {
      addresses_.scratch.push_back(
          memory_.emplace_back(std::make_unique<Arena>(s.scratch_bytes + 64))->data());
    }
    for (size_t s = 0; s < schedule_.steps.size(); ++s) {
      steps_.push_back(bind_step(schedule_, s, addresses_));
    }
  }

  void set(const std::string& name, const std::vector<float>& plain) {
    const Buffer& b = buffer(name);
    move(plain_layout(b.shape), b.layout, b, const_cast<float*>(plain.data()), address(name));
  }
  void set_bytes(const std::string& name, const std::vector<uint8_t>& bytes) {
    std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(address(name)));
  }
  std::vector<float> get(const std::string& op) {
    const auto node = std::find_if(graph_.nodes.begin(), graph_.nodes.end(),
                                   [&](const Node& n) { return n.op == op; });
    const Buffer& b = schedule_.buffer(node->outputs[0]);
    std::vector<float> plain(static_cast<size_t>(b.shape.elements()));
    move(b.layout, plain_layout(b.shape), b, address(b.name), plain.data());
    return plain;
  }

  // Seconds of the steps that are `op`, and of none else: maps come in the layout that they want.
  double run(const std::string& op) {
    double seconds = 0;
    for (size_t s = 0; s < steps_.size(); ++s) {
      const auto begin = std::chrono::steady_clock::now();
      steps_[s]->run();
      const auto end = std::chrono::steady_clock::now();
      if (schedule_.steps[s].op == op) {
        seconds += std::chrono::duration<double>(end - begin).count();
      }
    }
    return seconds;
  }

 private:
  const Buffer& buffer(const std::string& name) { return schedule_.buffer(schedule_.find(name)); }
  void* address(const std::string& name) {
    return addresses_.buffers[static_cast<size_t>(schedule_.find(name))];
  }
  void move(const Layout& from, const Layout& to, const Buffer& b, void* source, void* target) {
    if (from == to) {
      std::copy_n(static_cast<float*>(source), b.shape.elements(), static_cast<float*>(target));
      return;
    }
    const KernelChoice choice = backend_->reorder(b.shape, b.type, from, to);
    const Arena scratch(choice.scratch_bytes + 64);
    choice.kernel->bind({{&source, 1}, {&target, 1}, scratch.data()})->run();
  }

  Graph graph_;
  std::unique_ptr<Backend> backend_;
  Schedule schedule_;
  std::vector<std::unique_ptr<Arena>> memory_;
  Addresses addresses_;
  std::vector<std::unique_ptr<BoundKernel>> steps_;
};

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return most / largest;
}

std::vector<float> drawn(int64_t count, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(count));
  const RandomStream random(7, stream);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return values;
}

int run(const Case& c, int rounds, int threads) {
  set_thread_count(threads);
  Contestant sparse(c, true), dense(c, false);
  const std::vector<int64_t> units = drawn_units(c);
  const SparseShape shape({c.out, c.in, 1, 1}, 16, 1);
  std::vector<uint8_t> index(static_cast<size_t>(index_bytes(shape, std::ssize(units))));
  size_t next = 0;
  MutableSparseIndex(index.data(), shape, std::ssize(units)).write([&] { return units[next++]; });
  const std::vector<float> values = drawn(std::ssize(units) * 16, 1);
  std::vector<float> whole(static_cast<size_t>(c.out * c.in));
  const auto place = [&](size_t unit, int64_t k) {
    return static_cast<size_t>((units[unit] / c.in * 16 + k) * c.in + units[unit] % c.in);
  };
  for (size_t i = 0; i < units.size(); ++i) {
    for (int64_t k = 0; k < 16; ++k) whole[place(i, k)] = values[i * 16 + static_cast<size_t>(k)];
  }
  const int64_t pixels = c.batch * c.side * c.side;
  const std::vector<float> x = drawn(pixels * c.in, 2), dy = drawn(pixels * c.out, 3);
  for (Contestant* contestant : {&sparse, &dense}) {
    contestant->set("x", x);
    contestant->set("dy", dy);
  }
  sparse.set("w", values);
  sparse.set_bytes("w.active", index);
  dense.set("w", whole);
  sparse.run("");
  dense.run("");
  const std::vector<float> gradient = dense.get("conv2d_backward_weights");
  std::vector<float> gathered;
  for (size_t i = 0; i < units.size(); ++i) {
    for (int64_t k = 0; k < 16; ++k) gathered.push_back(gradient[place(i, k)]);
  }
  const double worst = std::max(
      {difference(sparse.get("sparse_conv2d"), dense.get("conv2d")),
       difference(sparse.get("sparse_conv2d_backward_data"), dense.get("conv2d_backward_data")),
       difference(sparse.get("sparse_conv2d_backward_weights"), gathered)});
  std::cout << "{\"case\": \"" << c.in << ':' << c.out << ':' << c.side << ':' << c.batch
            << "\", \"sparsity\": " << c.sparsity << ", \"threads\": " << threads
            << ", \"difference\": " << worst;
  if (!(worst < 1e-4)) {
    std::cout << "}\n";
    std::cerr << "bench_sparse_conv2d: the results differ\n";
    return 1;
  }
  for (const char* pass : {"", "_backward_data", "_backward_weights"}) {
    std::vector<double> ours, theirs;
    for (int r = 0; r < rounds; ++r) {
      ours.push_back(sparse.run(std::string("sparse_conv2d") + pass));
      theirs.push_back(dense.run(std::string("conv2d") + pass));
    }
    const std::string name = *pass == '\0' ? "forward" : pass + 1;
    std::cout << ", \"" << name << "\": {\"sparse_us\": " << median(ours) * 1e6
              << ", \"dense_us\": " << median(theirs) * 1e6
              << ", \"times_faster\": " << median(theirs) / median(ours) << "}";
  }
  std::cout << "}\n";
  return 0;
}

}  // namespace
}  // namespace thimble

int main(int argc, char** argv) {
  if (argc != 8) {
    std::cerr << "bench_sparse_conv2d IN OUT SIDE BATCH SPARSITY ROUNDS THREADS\n";
    return 2;
  }
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  return thimble::run({number(1), number(2), number(3), number(4), std::atof(argv[5])},
                      static_cast<int>(number(6)), static_cast<int>(number(7)));
}
