#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "backends/backend.h"
#include "backends/onednn/api.h"

namespace thimble::onednn {

// Knows oneDNN's descriptor of every layout that a graph uses. Images and feature maps of one
// graph share one format: channel blocks ("nChw16c") when padding channels to whole blocks wastes
// little, channels last ("nhwc") otherwise, and where a processor's tiles multiply bf16.
class Layouts {
 public:
  // Chooses the format for the graph's feature maps.
  void begin(const Graph& graph);

  // The layout and descriptor of a feature map (N, C, H, W) in the graph's format. Where the format
  // and the plain layout are the same bytes, the layout says plain.
  Layout map_layout(const Shape& shape) const;
  Desc map_desc(const Shape& shape, ElementType type = ElementType::f32) const;
  bool blocked() const { return blocked_; }

  // Registers a descriptor that a primitive chose, and gives it a name that prints well.
  Layout remember(const Shape& shape, ElementType type, const Desc& desc);
  // The descriptor of a tensor whose layout is known. `shape` may be split in groups by the
  // descriptor (weights of grouped convolutions).
  Desc desc_of(const Shape& shape, ElementType type, const Layout& layout) const;

  static Desc plain_desc(const Dims& dims, dnnl::memory::data_type type);

 private:
  bool blocked_ = true;
  std::map<std::tuple<std::string, ElementType, std::vector<int64_t>>, Desc> known_;
};

Dims dims_of(const Shape& shape);
dnnl::memory::data_type data_type(ElementType type);

}  // namespace thimble::onednn
