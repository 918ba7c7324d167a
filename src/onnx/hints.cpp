#include "onnx/hints.h"

#include <map>

namespace thimble {
namespace {

constexpr const char* kActivation =
    "use ReLU, leaky ReLU, ELU, SiLU, GELU or hard swish, and retrain";
constexpr const char* kLayerNorm =
    "layer normalisation is not known; take a network with batch or group normalisation";
constexpr const char* kQuantised = "export the model before it is quantised";
constexpr const char* kRecurrent = "thimble trains convolutional networks";
constexpr const char* kDecision = "export the model up to its logits";
constexpr const char* kControl = "export by tracing, so that no control flow is left";

const std::map<std::string, const char*>& hints() {
  static const std::map<std::string, const char*> all = {
      {"Softplus", kActivation},
      {"Softsign", kActivation},
      {"Selu", kActivation},
      {"Celu", kActivation},
      {"PRelu", kActivation},
      {"ThresholdedRelu", kActivation},
      {"Pow", kLayerNorm},
      {"LayerNormalization", kLayerNorm},
      {"QuantizeLinear", kQuantised},
      {"DequantizeLinear", kQuantised},
      {"DynamicQuantizeLinear", kQuantised},
      {"QLinearConv", kQuantised},
      {"ConvInteger", kQuantised},
      {"LSTM", kRecurrent},
      {"GRU", kRecurrent},
      {"RNN", kRecurrent},
      {"ArgMax", kDecision},
      {"TopK", kDecision},
      {"If", kControl},
      {"Loop", kControl},
      {"Scan", kControl},
      {"ConvTranspose", "thimble trains classifiers: export the encoder alone"},
      {"LRN", "put batch normalisation in its place, and retrain"},
      {"Upsample", "export with opset 11 or later, where it is Resize"},
  };
  return all;
}

}  // namespace

std::string hint_for(const std::string& onnx_op) {
  const auto it = hints().find(onnx_op);
  if (it != hints().end()) return it->second;
  return "replace it in the model, or export the model up to the node before it";
}

}  // namespace thimble
