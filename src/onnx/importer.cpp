#include "onnx/importer.h"

#include <algorithm>
#include <sstream>

#include "onnx/convert.h"
#include "onnx/fold.h"
#include "onnx/hints.h"
#include "onnx/metadata.h"
#include "onnx/simplify.h"

namespace thimble {
namespace {

constexpr int64_t kOldestOpset = 9;
constexpr int64_t kNewestOpset = 17;
constexpr int kMostNodes = 100'000;
constexpr size_t kMostListed = 200;  // refusals in a message
// Elements that folding may make beside those of the file.
constexpr int64_t kMostFolded = int64_t{1} << 24;

const Converters& converters() {
  static const Converters table = [] {
    Converters all;
    add_window_converters(all);
    add_arithmetic_converters(all);
    add_shape_converters(all);
    add_dense_converters(all);
    return all;
  }();
  return table;
}

class Importer {
 public:
  explicit Importer(onnx::ModelProto& model) : model_(model), graph_(*model.mutable_graph()) {}

  Imported run() {
    check_opset();
    network_.name = graph_.name();
    read_metadata(model_, network_, draft_.statistics);
    require(graph_.node_size() <= kMostNodes, "has ", graph_.node_size(), " nodes, at most ",
            kMostNodes);
    for (onnx::TensorProto& t : *graph_.mutable_initializer()) initialisers_[t.name()] = &t;
    find_output();
    mark_wanted();
    find_input();
    for (size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i]) take(NodeView(graph_.node(static_cast<int>(i)), i));
    }
    if (draft_.refusals.empty()) check_output();
    simplify(draft_);
    refuse_all();
    return finish();
  }

 private:
  void check_opset() {
    int64_t opset = 0;
    for (const auto& o : model_.opset_import()) {
      if (o.domain().empty() || o.domain() == "ai.onnx") opset = o.version();
    }
    require(opset >= kOldestOpset && opset <= kNewestOpset, "is of opset ", opset, ", needed ",
            kOldestOpset, " to ", kNewestOpset, "; hint: export with opset 13");
  }

  void find_output() {
    require(graph_.output_size() == 1, "has ", graph_.output_size(),
            " outputs, needed 1; hint: export the classifier without auxiliary outputs");
    draft_.output = graph_.output(0).name();
    network_.output = draft_.output;
  }

  // What the output depends on: a file may hold more.
  void mark_wanted() {
    wanted_.resize(static_cast<size_t>(graph_.node_size()));
    std::map<std::string, size_t> makers;
    for (int i = 0; i < graph_.node_size(); ++i) {
      for (const std::string& made : graph_.node(i).output()) {
        if (made.empty()) continue;
        const bool first = !initialisers_.contains(made) && makers.emplace(made, i).second;
        require(first, "the tensor ", made, " is made twice");
      }
    }
    std::vector<std::string> open = {draft_.output};
    while (!open.empty()) {
      const auto it = makers.find(open.back());
      open.pop_back();
      if (it == makers.end() || wanted_[it->second]) continue;
      wanted_[it->second] = true;
      const auto& inputs = graph_.node(static_cast<int>(it->second)).input();
      open.insert(open.end(), inputs.begin(), inputs.end());
    }
  }

  void find_input() {
    const onnx::ValueInfoProto* found = nullptr;
    for (const onnx::ValueInfoProto& v : graph_.input()) {
      if (initialisers_.contains(v.name())) continue;
      require(found == nullptr, "has the inputs ", found != nullptr ? found->name() : "", " and ",
              v.name(), ", needed one: images (N, C, H, W)");
      found = &v;
    }
    require(found != nullptr && found->type().has_tensor_type(),
            "has no input of images (N, C, H, W)");
    const auto& dims = found->type().tensor_type().shape().dim();
    require(dims.size() == 4, "its input ", found->name(), " has ", dims.size(),
            " dimensions, needed 4: images (N, C, H, W)");
    if (dims[0].has_dim_value()) draft_.fixed_batch = dims[0].dim_value();
    Shape shape = {kBatch};
    for (int i = 1; i < 4; ++i) {
      const int64_t size = dims[i].has_dim_value() ? dims[i].dim_value() : 0;
      require(size > 0, "its input ", found->name(), " leaves size ", i,
              " open; hint: export with fixed channels, height and width");
      shape.push_back(size);
    }
    shape.elements();  // not too large
    network_.input = found->name();
    for (const onnx::NodeProto& node : graph_.node()) {
      for (const std::string& made : node.output()) {
        require(made != network_.input, "the tensor ", made, " is made twice");
      }
    }
    draft_.set_shape(network_.input, shape);
    turn_input(shape);
    const Shape& images = draft_.shape(network_.input);
    network_.image = {images[1], images[2], images[3]};
  }

  // TensorFlow's images are (N, H, W, C) until a first node turns them.
  void turn_input(const Shape& shape) {
    const onnx::NodeProto* turns = nullptr;
    size_t place = 0, readers = 0;
    for (size_t i = 0; i < wanted_.size(); ++i) {
      const onnx::NodeProto& node = graph_.node(static_cast<int>(i));
      const auto count = std::count(node.input().begin(), node.input().end(), network_.input);
      if (!wanted_[i] || count == 0) continue;
      readers += static_cast<size_t>(count);
      turns = &node;
      place = i;
    }
    if (readers != 1 || turns->op_type() != "Transpose" || turns->output_size() != 1) return;
    try {
      const NodeView view(*turns, place);
      if (view.integers("perm", {}) != std::vector<int64_t>{0, 3, 1, 2}) return;
    } catch (const Refused&) {
      return;  // named later, with all others
    }
    wanted_[place] = false;
    draft_.notes.push_back(str_cat(
        "the input ", network_.input,
        " is (N, H, W, C) in the file; it is now (N, C, H, W) and called ", turns->output(0)));
    network_.input = turns->output(0);
    draft_.set_shape(network_.input, {kBatch, shape[3], shape[1], shape[2]});
  }

  // Decodes an initialiser when it is first read, and frees what the file held.
  void load(const std::string& tensor) {
    const auto it = initialisers_.find(tensor);
    if (it == initialisers_.end()) return;
    onnx::TensorProto* proto = it->second;
    initialisers_.erase(it);
    try {
      Constant c = constant_of(*proto);
      loaded_ += c.elements();
      c.origin = c.whole ? "" : tensor;
      draft_.define(tensor, std::move(c));
    } catch (const Refused& e) {
      throw UserError(str_cat("its tensor ", tensor, ' ', e.what()));
    }
    onnx::TensorProto().Swap(proto);  // clearing would keep the memory
  }

  void take(const NodeView& node) {
    bool lost = false;
    for (size_t i = 0; i < node.input_count(); ++i) {
      const std::string& input = node.input(i);
      if (input.empty()) continue;
      load(input);
      lost = lost || draft_.is_lost(input);
      const bool known =
          draft_.is_lost(input) || draft_.is_activation(input) || draft_.constant(input) != nullptr;
      require(known, "node ", node.name(), " reads ", input,
              ", which nothing makes before it; hint: onnx.checker says what is wrong");
    }
    try {
      convert(node, lost);
    } catch (const Refused& e) {
      refuse(node, e.what(), e.hint());
    } catch (const UserError& e) {
      refuse(node, e.what(), {});
    }
  }

  void convert(const NodeView& node, bool lost) {
    const std::string& domain = node.domain();
    const auto converter = converters().find(node.op());
    const bool standard = domain.empty() || domain == "ai.onnx";
    const bool known = converter != converters().end() || can_fold(node.op()) ||
                       node.op() == "Shape" || node.op() == "Size";
    if (!standard || !known) {
      throw Refused(standard ? "thimble has no such op"
                             : str_cat("thimble has no ops of the domain ", domain),
                    hint_for(standard ? node.op() : ""));
    }
    if (lost) return lose_outputs(node);
    std::vector<const Constant*> inputs;
    bool constant = true;
    for (size_t i = 0; i < node.input_count(); ++i) {
      inputs.push_back(draft_.constant(node.input(i)));
      constant = constant && (node.input(i).empty() || inputs.back() != nullptr);
    }
    accept(!node.output(0).empty(), "has no output");
    if (node.op() == "Shape" || node.op() == "Size") return take_shape(node);
    if (constant && can_fold(node.op())) return take_folded(node, inputs);
    accept(converter != converters().end(),
           "computes with the images what is known of shapes alone");
    accept(!constant, "computes with constants alone what layers do with images");
    converter->second(draft_, node);
  }

  void take_folded(const NodeView& node, const std::vector<const Constant*>& inputs) {
    Constant made = fold(node, inputs);
    folded_ += made.elements();
    accept(folded_ <= kMostFolded + 4 * loaded_, "makes more constants than a network has");
    // What the file calls by another name is another parameter: exporters write equal ones once.
    if (node.op() == "Identity") made.origin = made.origin.empty() ? "" : node.output(0);
    draft_.define(node.output(0), std::move(made));
  }

  void take_shape(const NodeView& node) {
    accept(!node.input(0).empty(), "has no input");
    std::vector<Whole> sizes;
    if (const Constant* c = draft_.constant(node.input(0))) {
      for (int64_t size : c->shape) sizes.push_back({size});
    } else {
      for (int64_t size : draft_.shape(node.input(0))) sizes.push_back({size});
      sizes[0] = {0, 1};
    }
    if (node.op() == "Size") {
      Whole all{1};
      for (const Whole& size : sizes) all = all * size;
      Constant made = whole_list({all});
      made.shape.clear();
      return draft_.define(node.output(0), std::move(made));
    }
    const auto rank = static_cast<int64_t>(sizes.size());
    const auto place = [&](const char* name, int64_t initial) {
      const int64_t v = node.integer(name, initial);
      return std::clamp(v < 0 ? v + rank : v, int64_t{0}, rank);
    };
    const int64_t begin = place("start", 0);
    const int64_t end = std::max(begin, place("end", rank));
    draft_.define(node.output(0), whole_list({sizes.begin() + begin, sizes.begin() + end}));
  }

  void lose_outputs(const NodeView& node) {
    for (size_t i = 0; i < node.output_count(); ++i) draft_.lose(node.output(i));
  }

  void refuse(const NodeView& node, const std::string& why, const std::string& hint) {
    draft_.refusals.push_back({node.name(), node.op(), why, hint});
    lose_outputs(node);
  }

  void check_output() {
    require(draft_.is_activation(draft_.output), "its output ", draft_.output,
            " is not computed from its input");
    require(draft_.resolve(draft_.output) != network_.input, "has no layers");
  }

  void refuse_all() const {
    if (draft_.refusals.empty()) return;
    std::ostringstream out;
    out << draft_.refusals.size() << (draft_.refusals.size() == 1 ? " node" : " nodes")
        << " cannot be imported:";
    size_t listed = 0;
    for (const Refusal& r : draft_.refusals) {
      if (listed++ == kMostListed) {
        out << "\n  ...";
        break;
      }
      out << "\n  " << r.node << " (" << r.op << "): " << r.why;
      if (!r.hint.empty()) out << "; hint: " << r.hint;
    }
    throw UserError(out.str());
  }

  Imported finish() {
    const std::string last = draft_.resolve(draft_.output);
    std::map<std::string, NetworkParameter*> unread;
    for (NetworkParameter& p : draft_.parameters) unread[p.name] = &p;
    for (DraftLayer& d : draft_.layers) {
      for (std::string& tensor : d.layer.inputs) {
        tensor = draft_.resolve(tensor);
        if (tensor == last) tensor = network_.output;
        // In the order in which layers read them, however patterns came upon them.
        if (const auto it = unread.find(tensor); it != unread.end()) {
          network_.parameters.push_back(std::move(*it->second));
          unread.erase(it);
        }
      }
      for (std::string& tensor : d.layer.outputs) {
        if (tensor == last) tensor = network_.output;
      }
      network_.layers.push_back(std::move(d.layer));
    }
    require(!network_.layers.empty(), "has no layers");
    return {std::move(network_), std::move(draft_.values), std::move(draft_.notes)};
  }

  onnx::ModelProto& model_;
  onnx::GraphProto& graph_;
  Network network_;
  Draft draft_;
  std::map<std::string, onnx::TensorProto*> initialisers_;
  std::vector<bool> wanted_;  // of each node: the output depends on it
  int64_t loaded_ = 0;        // elements of initialisers so far
  int64_t folded_ = 0;        // elements made of them so far
};

}  // namespace

const Shape& activation(const Draft& draft, const NodeView& node, size_t i) {
  const std::string& tensor = node.input(i);
  accept(!tensor.empty(), "has no input ", i);
  accept(draft.is_activation(tensor), "its input ", i,
         " is constant, needed one that is computed "
         "from the images");
  return draft.shape(tensor);
}

const Shape& image(const Draft& draft, const NodeView& node, size_t i) {
  const Shape& shape = activation(draft, node, i);
  accept(shape.rank() == 4, "its input is ", shape, ", needed images (N, C, H, W)");
  return shape;
}

const Constant* optional_constant(const Draft& draft, const NodeView& node, size_t i) {
  if (node.input(i).empty()) return nullptr;
  const Constant* c = draft.constant(node.input(i));
  accept(c != nullptr, "its input ", i, " is computed from the images, needed a constant");
  return c;
}

void add_layer(Draft& draft, const NodeView& node, const std::string& op,
               std::vector<std::string> inputs, Attributes attributes) {
  draft.add(op, node.name(), node.op(), std::move(inputs), {node.output(0)}, std::move(attributes));
}

Imported import_model(onnx::ModelProto& model) { return Importer(model).run(); }

}  // namespace thimble
