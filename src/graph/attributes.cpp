#include "graph/attributes.h"

#include <algorithm>

#include "base/error.h"

namespace thimble {
namespace {

template <class T>
const T& typed(const Attributes& attributes, std::string_view name) {
  const T* value = std::get_if<T>(&attributes.at(name));
  ensure(value != nullptr, "attribute '", name, "' has another type than was asked for");
  return *value;
}

}  // namespace

Attributes::Attributes(std::initializer_list<Entry> entries) {
  for (const Entry& e : entries) set(e.first, e.second);
}

bool Attributes::has(std::string_view name) const {
  return std::any_of(begin(), end(), [&](const Entry& e) { return e.first == name; });
}

const AttributeValue& Attributes::at(std::string_view name) const {
  const Entry* it = std::find_if(begin(), end(), [&](const Entry& e) { return e.first == name; });
  ensure(it != end(), "no attribute '", name, "'");
  return it->second;
}

void Attributes::set(std::string name, AttributeValue value) {
  auto entries = entries_ ? std::make_shared<std::vector<Entry>>(*entries_)
                          : std::make_shared<std::vector<Entry>>();
  const auto it =
      std::lower_bound(entries->begin(), entries->end(), name,
                       [](const Entry& e, const std::string& n) { return e.first < n; });
  if (it != entries->end() && it->first == name) {
    it->second = std::move(value);
  } else {
    entries->insert(it, {std::move(name), std::move(value)});
  }
  entries_ = std::move(entries);
}

int64_t Attributes::integer(std::string_view name) const { return typed<int64_t>(*this, name); }
double Attributes::real(std::string_view name) const { return typed<double>(*this, name); }
const std::string& Attributes::text(std::string_view name) const {
  return typed<std::string>(*this, name);
}
const std::vector<int64_t>& Attributes::integers(std::string_view name) const {
  return typed<std::vector<int64_t>>(*this, name);
}

std::ostream& operator<<(std::ostream& out, const AttributeValue& value) {
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    out << '[';
    for (size_t i = 0; i < list->size(); ++i) out << (i ? "," : "") << (*list)[i];
    return out << ']';
  }
  if (const auto* integer = std::get_if<int64_t>(&value)) return out << *integer;
  if (const auto* real = std::get_if<double>(&value)) return out << *real;
  return out << std::get<std::string>(value);
}

}  // namespace thimble
