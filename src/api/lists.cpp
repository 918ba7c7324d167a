#include <sstream>
#include <utility>

#include "backends/backend.h"
#include "data/pixels.h"
#include "data/registry.h"
#include "models/model.h"
#include "ops/core/op.h"
#include "planner/planner.h"
#include "runtime/optimizer.h"
#include "thimble/thimble.h"

namespace thimble {

Listing list_models() {
  Listing all;
  for (const Model* m : models()) {
    std::string text = m->summary;
    for (const ModelVariant& v : m->variants) {
      text += str_cat("; option ", v.name, '=', v.initial);
      for (const std::string& value : v.values) {
        if (value != v.initial) text += "|" + value;
      }
    }
    all.emplace_back(m->name, std::move(text));
  }
  return all;
}

Listing list_data() {
  Listing all;
  for (const DataSource* s : data_sources()) all.emplace_back(s->name, s->summary);
  return all;
}

Listing list_pixels() {
  Listing all;
  for (const PixelChoice& rule : pixel_choices()) all.emplace_back(rule.name, rule.summary);
  return all;
}

Listing list_ops() {
  Listing all;
  for (const OpDef& op : op_table().all()) all.emplace_back(op.name, op.summary);
  return all;
}

Listing list_optimizers() {
  Listing all;
  for (const OpDef* op : optimizers()) {
    std::ostringstream text;
    text << op->summary;
    const char* before = "; options ";
    for (const AttributeSpec& a : optimizer_options(*op)) {
      text << std::exchange(before, ", ") << a.name << '=' << a.initial;
    }
    all.emplace_back(op->name, text.str());
  }
  return all;
}

Listing list_approximations() {
  Listing all;
  for (const Technique* t : techniques()) {
    if (!t->allowance.empty()) all.emplace_back(t->allowance, t->accepts);
  }
  return all;
}

Listing list_techniques() {
  Listing all;
  for (const Technique* t : techniques()) {
    all.emplace_back(t->name,
                     t->paper.empty() ? t->summary : str_cat(t->summary, " (", t->paper, ")"));
  }
  return all;
}

Listing list_backends() {
  Listing all;
  for (const std::string& name : backend_names()) {
    all.emplace_back(name, make_backend(name)->identity());
  }
  return all;
}

}  // namespace thimble
