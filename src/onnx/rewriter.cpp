#include "onnx/rewriter.h"

namespace thimble {

Rewriter::Rewriter(Draft& draft) : draft_(draft), gone_(draft.layers.size()) {
  read(draft.resolve(draft.output));
  for (size_t i = 0; i < draft.layers.size(); ++i) {
    for (const std::string& made : draft.layers[i].layer.outputs) makers_[made] = i;
    for (const std::string& input : draft.layers[i].layer.inputs) read(input);
  }
  // What is behind a refused node would have read these.
  for (const DraftLayer& d : draft.layers) {
    for (const std::string& made : d.layer.outputs) {
      if (!draft.refusals.empty() && readers_[made] == 0) read(made);
    }
  }
  // Last first, so that whole chains that nobody reads go.
  for (size_t i = draft.layers.size(); i-- > 0;) {
    bool wanted = false;
    for (const std::string& made : draft.layers[i].layer.outputs) {
      wanted = wanted || readers_[made] > 0;
    }
    if (wanted) continue;
    gone_[i] = true;
    for (const std::string& input : draft.layers[i].layer.inputs) --readers_[input];
  }
}

DraftLayer* Rewriter::next() {
  while (next_ < draft_.layers.size() && gone_[next_]) ++next_;
  if (next_ == draft_.layers.size()) return nullptr;
  DraftLayer& layer = draft_.layers[next_++];
  for (std::string& input : layer.layer.inputs) input = draft_.resolve(input);
  return &layer;
}

DraftLayer* Rewriter::maker(const DraftLayer& reader, size_t i, const char* op) {
  const auto it = makers_.find(reader.layer.inputs[i]);
  if (it == makers_.end()) return nullptr;
  DraftLayer& made_by = draft_.layers[it->second];
  return made_by.layer.op == op ? &made_by : nullptr;
}

DraftLayer* Rewriter::only_for(const DraftLayer& reader, size_t i, const char* op) {
  return readers_[reader.layer.inputs[i]] == 1 ? maker(reader, i, op) : nullptr;
}

void Rewriter::become(DraftLayer& layer, const std::string& op, std::vector<std::string> inputs,
                      Attributes attributes) {
  for (const std::string& input : inputs) read(input);
  const std::vector<std::string> before = layer.layer.inputs;
  layer.layer.op = op;
  layer.layer.inputs = std::move(inputs);
  layer.layer.attributes = std::move(attributes);
  for (const std::string& input : before) release(input);
}

void Rewriter::drop(DraftLayer& layer, const std::string& tensor) {
  const std::string from = layer.layer.outputs[0];
  const std::string to = tensor;
  readers_[to] += readers_[from];
  draft_.alias(from, to);
  gone_[makers_.at(from)] = true;
  for (const std::string& input : layer.layer.inputs) release(input);
}

void Rewriter::release(const std::string& tensor) {
  std::vector<std::string> released = {tensor};
  while (!released.empty()) {
    const std::string name = released.back();
    released.pop_back();
    const auto it = makers_.find(name);
    if (--readers_[name] > 0 || it == makers_.end() || gone_[it->second]) continue;
    const NetworkLayer& layer = draft_.layers[it->second].layer;
    bool wanted = false;
    for (const std::string& made : layer.outputs) wanted = wanted || readers_[made] > 0;
    if (wanted) continue;
    gone_[it->second] = true;
    released.insert(released.end(), layer.inputs.begin(), layer.inputs.end());
  }
}

void Rewriter::remove_what_is_gone() {
  std::vector<DraftLayer> kept;
  for (size_t i = 0; i < draft_.layers.size(); ++i) {
    if (!gone_[i]) kept.push_back(std::move(draft_.layers[i]));
  }
  draft_.layers = std::move(kept);
}

}  // namespace thimble
