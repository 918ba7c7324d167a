#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace thimble {

using AttributeValue = std::variant<int64_t, double, std::string, std::vector<int64_t>>;

// The settings of a node: plain data, compared by value, kept sorted by name. Copies share their
// entries until one is changed: many nodes and kernels have the same ones.
class Attributes {
 public:
  using Entry = std::pair<std::string, AttributeValue>;

  Attributes() = default;
  Attributes(std::initializer_list<Entry> entries);

  bool has(std::string_view name) const;
  const AttributeValue& at(std::string_view name) const;
  void set(std::string name, AttributeValue value);

  int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;

  const Entry* begin() const { return entries_ ? entries_->data() : nullptr; }
  const Entry* end() const { return entries_ ? entries_->data() + entries_->size() : nullptr; }

  friend bool operator==(const Attributes& a, const Attributes& b) {
    return a.entries_ == b.entries_ || std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::shared_ptr<const std::vector<Entry>> entries_;  // null: none
};

std::ostream& operator<<(std::ostream& out, const AttributeValue& value);

}  // namespace thimble
