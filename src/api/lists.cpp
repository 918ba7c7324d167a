#include "data/registry.h"
#include "models/model.h"
#include "ops/core/op.h"
#include "thimble/thimble.h"

namespace thimble {

Listing list_models() {
  Listing all;
  for (const Model* m : models()) all.emplace_back(m->name, m->summary);
  return all;
}

Listing list_data() {
  Listing all;
  for (const DataSource* s : data_sources()) all.emplace_back(s->name, s->summary);
  return all;
}

Listing list_ops() {
  Listing all;
  for (const OpDef& op : op_table().all()) all.emplace_back(op.name, op.summary);
  return all;
}

}  // namespace thimble
