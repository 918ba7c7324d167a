#include "runtime/safetensors.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLengthBytes = 8;
// A tensor takes about 100 bytes of header. The cap keeps a hostile file from taking the budget.
constexpr int64_t kMaxHeaderBytes = 16 * kMiB;
constexpr size_t kMaxRank = 64;
constexpr const char* kMetadata = "__metadata__";

struct Dtype {
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<Dtype, 15> kDtypes = {{{"F64", 8},
                                            {"F32", 4},
                                            {"F16", 2},
                                            {"BF16", 2},
                                            {"F8_E5M2", 1},
                                            {"F8_E4M3", 1},
                                            {"I64", 8},
                                            {"I32", 4},
                                            {"I16", 2},
                                            {"I8", 1},
                                            {"U64", 8},
                                            {"U32", 4},
                                            {"U16", 2},
                                            {"U8", 1},
                                            {"BOOL", 1}}};

// 0 for names that are not known.
int64_t dtype_bytes(std::string_view name) {
  const auto* found = std::ranges::find(kDtypes, name, &Dtype::name);
  return found == kDtypes.end() ? 0 : found->bytes;
}

// The bytes that dtype and shape ask for; -1 when they are no size.
int64_t data_bytes(const TensorEntry& entry) {
  int64_t bytes = dtype_bytes(entry.dtype);
  for (const int64_t dim : entry.shape) {
    if (dim < 0 || __builtin_mul_overflow(bytes, dim, &bytes)) return -1;
  }
  return bytes;
}

std::string list(const std::vector<int64_t>& numbers) {
  std::string text = "[";
  for (const int64_t n : numbers) text += (text.size() > 1 ? "," : "") + std::to_string(n);
  return text + "]";
}

// A name from a file, fit to print.
std::string shown(std::string_view name) {
  constexpr size_t kMaxShown = 80;
  std::string text(name.substr(0, kMaxShown));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return name.size() > kMaxShown ? text + "..." : text;
}

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

// Written without a JSON document, which would take ten times the bytes.
std::string header_of(const std::vector<TensorEntry>& entries,
                      const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  // At once: a string that grows holds its old bytes beside the new ones.
  constexpr size_t kEntryBytes = 120;  // dtype, shape, offsets
  size_t bytes = 1024;
  for (const TensorEntry& entry : entries) bytes += entry.name.size() + kEntryBytes;
  text.reserve(bytes);
  if (!metadata.empty()) {
    text += quoted(kMetadata) + ":{";
    for (const auto& [key, value] : metadata) {
      if (text.back() != '{') text += ',';
      text += quoted(key) + ':' + quoted(value);
    }
    text += '}';
  }
  int64_t offset = 0;
  for (const TensorEntry& entry : entries) {
    if (text.size() > 1) text += ',';
    text += str_cat(quoted(entry.name), ":{\"dtype\":", quoted(entry.dtype),
                    ",\"shape\":", list(entry.shape), ",\"data_offsets\":[", offset, ",",
                    offset + entry.bytes, "]}");
    offset += entry.bytes;
  }
  text += '}';
  text.resize(static_cast<size_t>(round_up(static_cast<int64_t>(text.size()), 8)), ' ');
  return text;
}

struct Placed {
  TensorEntry entry;
  int64_t begin = 0;  // in the data, half-open
  int64_t end = 0;
};

// Takes the header's values as they are parsed and refuses all that has no place there, so that
// what is held stays in proportion to the header.
class HeaderParser : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderParser(const std::string& path) : path_(path) {}

  std::vector<Placed> tensors;
  std::map<std::string, std::string> metadata;

  bool start_object(size_t) override {
    if (at_ == At::file) {
      at_ = At::tensors;
    } else if (at_ == At::tensors && name_ == kMetadata) {
      if (std::exchange(has_metadata_, true)) fail("the same key twice");
      at_ = At::metadata;
    } else if (at_ == At::tensors) {
      at_ = At::tensor;
      tensors.emplace_back().entry.name = name_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
    } else {
      fail("an object");
    }
    return true;
  }

  bool key(std::string& key) override {
    (at_ == At::tensors ? name_ : key_) = key;
    if (at_ == At::metadata && metadata.contains(key)) fail("the same key twice");
    if (at_ == At::tensor) {
      bool* has = key == "dtype"          ? &has_dtype_
                  : key == "shape"        ? &has_shape_
                  : key == "data_offsets" ? &has_offsets_
                                          : nullptr;
      if (has == nullptr) fail("an unknown key");
      if (std::exchange(*has, true)) fail("the same key twice");
    }
    return true;
  }

  bool string(std::string& text) override {
    if (at_ == At::metadata) {
      metadata[key_] = text;
    } else if (at_ == At::tensor && key_ == "dtype") {
      tensors.back().entry.dtype = text;
    } else {
      fail("a string");
    }
    return true;
  }

  bool start_array(size_t) override {
    if (at_ != At::tensor || key_ == "dtype") fail("a list");
    at_ = key_ == "shape" ? At::shape : At::offsets;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(uint64_t number) override {
    if (at_ != At::shape && at_ != At::offsets) fail("a number");
    if (number > INT64_MAX) fail("a number above 2^63 - 1");
    if (numbers_.size() == kMaxRank) fail(str_cat("more than ", kMaxRank, " numbers"));
    numbers_.push_back(static_cast<int64_t>(number));
    return true;
  }

  bool end_array() override {
    Placed& tensor = tensors.back();
    if (at_ == At::shape) {
      tensor.entry.shape = numbers_;
    } else {
      if (numbers_.size() != 2 || numbers_[0] > numbers_[1]) {
        fail(list(numbers_) + ", needed [begin,end]");
      }
      tensor.begin = numbers_[0];
      tensor.end = numbers_[1];
    }
    at_ = At::tensor;
    return true;
  }

  bool end_object() override {
    if (at_ == At::tensor && !(has_dtype_ && has_shape_ && has_offsets_)) {
      key_.clear();
      fail("no dtype, shape or data_offsets");
    }
    at_ = At::tensors;
    return true;
  }

  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("a boolean"); }
  bool number_integer(int64_t number) override { fail(std::to_string(number)); }
  bool number_float(double, const std::string&) override { fail("not a whole 64-bit number"); }
  bool binary(nlohmann::json::binary_t&) override { fail("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    throw UserError(str_cat(path_, ": header is not JSON at its byte ", position));
  }

 private:
  enum class At { file, tensors, metadata, tensor, shape, offsets };

  [[noreturn]] void fail(const std::string& came) const {
    std::string where;
    if (at_ != At::file) where = ": " + shown(name_);
    if (at_ != At::file && at_ != At::tensors && !key_.empty()) where += ": " + shown(key_);
    throw UserError(str_cat(path_, ": header", where, ": did not expect ", came));
  }

  const std::string& path_;
  At at_ = At::file;
  std::string name_;  // of the tensor, or kMetadata
  std::string key_;   // in it
  bool has_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::vector<int64_t> numbers_;
};

std::string read_header(const InputFile& file) {
  const int64_t file_bytes = file.size();
  require(file_bytes >= kLengthBytes, file.path(), ": ", file_bytes,
          " bytes; a safetensors file has at least ", kLengthBytes);
  std::array<uint8_t, kLengthBytes> raw;
  file.read_at(0, raw.data(), kLengthBytes);
  uint64_t length = 0;
  for (size_t i = raw.size(); i-- > 0;) length = length << 8 | raw[i];
  require(length <= static_cast<uint64_t>(file_bytes - kLengthBytes), file.path(),
          ": says that its header has ", length, " bytes, but has ", file_bytes - kLengthBytes,
          " after the length; cut off, or not a safetensors file");
  require(length <= static_cast<uint64_t>(kMaxHeaderBytes), file.path(), ": header of ", length,
          " bytes; at most ", kMaxHeaderBytes, " are read");
  std::string text(length, '\0');
  file.read_at(kLengthBytes, text.data(), static_cast<int64_t>(length));
  // The parser would step over a byte order mark and stop at a zero.
  require(text.starts_with('{') && text.find('\0') == std::string::npos, file.path(),
          ": header is not a JSON object; not a safetensors file");
  return text;
}

void check_tensor(const std::string& path, const Placed& tensor, int64_t needed_begin) {
  const TensorEntry& entry = tensor.entry;
  const auto where = [&] { return str_cat(path, ": tensor ", shown(entry.name)); };
  if (dtype_bytes(entry.dtype) == 0) {
    std::string known;
    for (const Dtype& dtype : kDtypes) known.append(" ").append(dtype.name);
    throw UserError(str_cat(where(), ": dtype ", shown(entry.dtype), ", needed one of", known));
  }
  if (data_bytes(entry) != entry.bytes) {
    throw UserError(str_cat(where(), ": data_offsets hold ", entry.bytes, " bytes, but ",
                            entry.dtype, " of shape ", list(entry.shape), " needs ",
                            data_bytes(entry) < 0 ? "more than 2^63" : str_cat(data_bytes(entry))));
  }
  if (tensor.begin != needed_begin) {
    throw UserError(str_cat(where(), ": data begins at ", tensor.begin, ", needed ", needed_begin,
                            ": tensors must follow each other without gaps or overlaps"));
  }
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path,
                                     const std::vector<TensorEntry>& entries,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  std::set<std::string_view> names = {kMetadata};
  for (const TensorEntry& entry : entries) {
    ensure(names.insert(entry.name).second, path, ": tensor name ", entry.name, " is taken");
    ensure(dtype_bytes(entry.dtype) > 0 && entry.bytes == data_bytes(entry), path, ": tensor ",
           entry.name, " of ", entry.bytes, " bytes is not ", entry.dtype, list(entry.shape));
    bytes_left_ += entry.bytes;
  }
  std::string header;
  try {
    header = header_of(entries, metadata);
  } catch (const nlohmann::json::type_error&) {
    throw UserError(path + ": cannot write: a name or a text of the metadata is not UTF-8");
  }
  std::array<uint8_t, kLengthBytes> length;
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<uint8_t>(header.size() >> 8 * i);
  }
  file_.write(length.data(), kLengthBytes);
  file_.write(header.data(), static_cast<int64_t>(header.size()));
}

void SafetensorsWriter::write(const void* bytes, int64_t count) {
  ensure(count <= bytes_left_, "safetensors: ", count, " bytes came, ", bytes_left_, " are left");
  file_.write(bytes, count);
  bytes_left_ -= count;
}

void SafetensorsWriter::finish() {
  ensure(bytes_left_ == 0, "safetensors: ", bytes_left_, " bytes did not come");
  file_.commit();
}

SafetensorsReader::SafetensorsReader(const std::string& path) : file_(path) {
  HeaderParser parser(path);
  int64_t data_begin = 0;
  {
    const std::string header = read_header(file_);
    nlohmann::json::sax_parse(header, &parser);
    data_begin = kLengthBytes + static_cast<int64_t>(header.size());
  }
  // An empty tensor stands before the one that begins at the same byte.
  std::ranges::stable_sort(parser.tensors, {},
                           [](const Placed& t) { return std::pair(t.begin, t.end); });
  int64_t at = 0;
  for (Placed& tensor : parser.tensors) {
    tensor.entry.bytes = tensor.end - tensor.begin;
    check_tensor(path, tensor, at);
    require(index_.emplace(tensor.entry.name, entries_.size()).second, path, ": tensor ",
            shown(tensor.entry.name), " is there twice");
    entries_.push_back(std::move(tensor.entry));
    offsets_.push_back(data_begin + at);
    at = tensor.end;
  }
  require(at == file_.size() - data_begin, path, ": has ", file_.size() - data_begin,
          " bytes of data; its header needs ", at);
  metadata_ = std::move(parser.metadata);
}

void SafetensorsReader::read(const std::string& name, void* to, int64_t bytes) const {
  const size_t i = index_of(name);
  const TensorEntry& entry = entries_[i];
  require(entry.bytes == bytes, file_.path(), ": tensor ", name, " is ", entry.dtype,
          list(entry.shape), " of ", entry.bytes, " bytes; needed ", bytes, " bytes");
  file_.read_at(offsets_[i], to, bytes);
}

void SafetensorsReader::read_part(const std::string& name, int64_t begin, void* to,
                                  int64_t bytes) const {
  const size_t i = index_of(name);
  ensure(begin >= 0 && bytes >= 0 && begin + bytes <= entries_[i].bytes, name, " has ",
         entries_[i].bytes, " bytes");
  file_.read_at(offsets_[i] + begin, to, bytes);
}

size_t SafetensorsReader::index_of(const std::string& name) const {
  const auto found = index_.find(name);
  require(found != index_.end(), file_.path(), ": no tensor ", name);
  return found->second;
}

}  // namespace thimble
