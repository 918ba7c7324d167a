#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace thimble {

using AttributeValue = std::variant<int64_t, double, std::string, std::vector<int64_t>>;

// The settings of a node: plain data, compared by value, kept sorted by name.
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

  std::vector<Entry>::const_iterator begin() const { return entries_.begin(); }
  std::vector<Entry>::const_iterator end() const { return entries_.end(); }

  friend bool operator==(const Attributes&, const Attributes&) = default;

 private:
  std::vector<Entry> entries_;
};

std::ostream& operator<<(std::ostream& out, const AttributeValue& value);

}  // namespace thimble
