#pragma once

#include "onnx/importer.h"

namespace thimble {

// A draft's layers while patterns replace them, from the first to the last: who makes a tensor, and
// how many read it. What nobody reads any more is gone.
class Rewriter {
 public:
  explicit Rewriter(Draft& draft);

  Draft& draft() { return draft_; }
  // Moves to the next layer; null: there is none.
  DraftLayer* next();
  // The layer that makes input `i`; null: none of this op does.
  DraftLayer* maker(const DraftLayer& reader, size_t i, const char* op);
  // The same when nobody else reads what it makes.
  DraftLayer* only_for(const DraftLayer& reader, size_t i, const char* op);
  // Other layers read this tensor or parameter, too.
  bool is_shared(const std::string& tensor) { return readers_[tensor] > 1; }
  // The layer becomes one of another op.
  void become(DraftLayer& layer, const std::string& op, std::vector<std::string> inputs,
              Attributes attributes = {});
  // The layer goes: who reads its output reads `tensor`.
  void drop(DraftLayer& layer, const std::string& tensor);
  void remove_what_is_gone();

 private:
  void read(const std::string& tensor) { ++readers_[tensor]; }
  void release(const std::string& tensor);

  Draft& draft_;
  size_t next_ = 0;
  std::vector<bool> gone_;
  std::map<std::string, size_t> makers_;
  std::map<std::string, int> readers_;
};

}  // namespace thimble
