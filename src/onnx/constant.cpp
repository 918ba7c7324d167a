#include "onnx/constant.h"

#include <bit>
#include <cstring>

namespace thimble {
namespace {

using onnx::TensorProto;

static_assert(std::endian::native == std::endian::little, "raw data are little-endian");

[[noreturn]] void refuse_batch() {
  throw Refused("computes with the batch size",
                "export with a batch that is only ever reshaped, or with a fixed one");
}

[[noreturn]] void refuse_overflow() { throw Refused("whole numbers overflow"); }

int64_t sum(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) refuse_overflow();
  return result;
}
int64_t difference(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_sub_overflow(a, b, &result)) refuse_overflow();
  return result;
}
int64_t product(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) refuse_overflow();
  return result;
}
int64_t quotient(int64_t a, int64_t b) {
  accept(b != 0, "divides by zero");
  if (b == -1 && a == INT64_MIN) refuse_overflow();
  return a / b;
}

// Of the numbers that a type packs into raw bytes.
int64_t bytes_of(int type) {
  switch (type) {
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::UINT64:
      return 8;
    case TensorProto::FLOAT:
    case TensorProto::INT32:
    case TensorProto::UINT32:
      return 4;
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
    case TensorProto::INT16:
    case TensorProto::UINT16:
      return 2;
    case TensorProto::INT8:
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return 1;
    default:
      return 0;
  }
}

bool is_real(int type) {
  return type == TensorProto::FLOAT || type == TensorProto::DOUBLE ||
         type == TensorProto::FLOAT16 || type == TensorProto::BFLOAT16;
}

float from_half(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {  // zero and subnormal numbers: in steps of 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

float from_bfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

template <class T, class Out, class Convert>
void unpack(const std::string& raw, std::vector<Out>& out, const Convert& convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
    out[i] = convert(value);
  }
}

void unpack_real(int type, const std::string& raw, std::vector<float>& out) {
  if (type == TensorProto::FLOAT) {
    if (!out.empty()) std::memcpy(out.data(), raw.data(), raw.size());
  } else if (type == TensorProto::DOUBLE) {
    unpack<double>(raw, out, [](double v) { return static_cast<float>(v); });
  } else if (type == TensorProto::FLOAT16) {
    unpack<uint16_t>(raw, out, from_half);
  } else {
    unpack<uint16_t>(raw, out, from_bfloat);
  }
}

void unpack_whole(int type, const std::string& raw, std::vector<Whole>& out) {
  const auto plain = [](auto v) { return Whole{static_cast<int64_t>(v)}; };
  switch (type) {
    case TensorProto::INT64:
    case TensorProto::UINT64:
      return unpack<int64_t>(raw, out, plain);
    case TensorProto::INT32:
      return unpack<int32_t>(raw, out, plain);
    case TensorProto::UINT32:
      return unpack<uint32_t>(raw, out, plain);
    case TensorProto::INT16:
      return unpack<int16_t>(raw, out, plain);
    case TensorProto::UINT16:
      return unpack<uint16_t>(raw, out, plain);
    case TensorProto::INT8:
      return unpack<int8_t>(raw, out, plain);
    default:
      return unpack<uint8_t>(raw, out, plain);
  }
}

template <class Field, class Out, class Convert>
void copy_field(const Field& field, std::vector<Out>& out, const Convert& convert) {
  accept(static_cast<size_t>(field.size()) == out.size(), "has ", field.size(),
         " numbers, its shape asks for ", out.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = convert(field.Get(static_cast<int>(i)));
}

void copy_real(const TensorProto& tensor, std::vector<float>& out) {
  const auto plain = [](auto v) { return static_cast<float>(v); };
  if (tensor.data_type() == TensorProto::FLOAT) {
    copy_field(tensor.float_data(), out, plain);
  } else if (tensor.data_type() == TensorProto::DOUBLE) {
    copy_field(tensor.double_data(), out, plain);
  } else {
    const bool half = tensor.data_type() == TensorProto::FLOAT16;
    copy_field(tensor.int32_data(), out, [half](int32_t v) {
      const auto bits = static_cast<uint16_t>(v);
      return half ? from_half(bits) : from_bfloat(bits);
    });
  }
}

void copy_whole(const TensorProto& tensor, std::vector<Whole>& out) {
  const auto plain = [](auto v) { return Whole{static_cast<int64_t>(v)}; };
  const int type = tensor.data_type();
  if (type == TensorProto::INT64) {
    copy_field(tensor.int64_data(), out, plain);
  } else if (type == TensorProto::UINT64 || type == TensorProto::UINT32) {
    copy_field(tensor.uint64_data(), out, plain);
  } else {
    copy_field(tensor.int32_data(), out, plain);
  }
}

// How many numbers the file really holds, before anything of that size is made.
int64_t numbers_in(const TensorProto& tensor) {
  if (tensor.has_raw_data()) {
    return static_cast<int64_t>(tensor.raw_data().size()) / bytes_of(tensor.data_type());
  }
  return int64_t{tensor.float_data_size()} + tensor.double_data_size() + tensor.int32_data_size() +
         tensor.int64_data_size() + tensor.uint64_data_size();
}

}  // namespace

Whole operator+(const Whole& a, const Whole& b) {
  return {sum(a.base, b.base), sum(a.per_batch, b.per_batch)};
}

Whole operator-(const Whole& a, const Whole& b) {
  return {difference(a.base, b.base), difference(a.per_batch, b.per_batch)};
}

Whole operator*(const Whole& a, const Whole& b) {
  if (!a.known() && !b.known()) refuse_batch();
  const Whole& other = a.known() ? b : a;
  const int64_t factor = a.known() ? a.base : b.base;
  return {product(other.base, factor), product(other.per_batch, factor)};
}

Whole operator/(const Whole& a, const Whole& b) {
  if (a.known() && b.known()) return {quotient(a.base, b.base)};
  if (b.known() && b.base != 0 && a.base % b.base == 0 && a.per_batch % b.base == 0) {
    return {quotient(a.base, b.base), quotient(a.per_batch, b.base)};
  }
  const bool both = a.base == 0 && b.base == 0 && b.per_batch != 0;
  if (!both || a.per_batch % b.per_batch != 0) refuse_batch();
  return {quotient(a.per_batch, b.per_batch)};
}

bool equal(const Whole& a, const Whole& b) {
  const Whole d = a - b;
  if (d.known()) return d.base == 0;
  // d = base + k N is zero for no N from 1 on when both parts have one sign.
  const bool apart = (d.base >= 0) == (d.per_batch > 0) || d.base == 0;
  if (!apart) refuse_batch();
  return false;
}

int64_t known(const Whole& a) {
  if (!a.known()) refuse_batch();
  return a.base;
}

int64_t elements_of(const std::vector<int64_t>& shape, int64_t most) {
  int64_t n = 1;
  for (int64_t size : shape) {
    accept(size >= 0, "has a size of ", size);
    accept(size == 0 || n <= most / size, "has more than ", most, " elements");
    n *= size;
  }
  return n;
}

Constant constant_of(const TensorProto& tensor) {
  accept(tensor.data_location() != TensorProto::EXTERNAL && tensor.external_data_size() == 0,
         "keeps its numbers in another file; hint: save the model in one file "
         "(onnx.save_model with save_as_external_data=False)");
  const int type = tensor.data_type();
  accept(bytes_of(type) > 0, "has numbers of the type ",
         TensorProto::DataType_IsValid(type)
             ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(type))
             : str_cat(type));
  Constant c;
  c.shape.assign(tensor.dims().begin(), tensor.dims().end());
  c.whole = !is_real(type);
  const int64_t held = numbers_in(tensor);
  const int64_t count = elements_of(c.shape, INT64_MAX);
  accept(count == held, "has ", held, " numbers, its shape asks for ", count);
  if (tensor.has_raw_data()) {
    accept(static_cast<int64_t>(tensor.raw_data().size()) == count * bytes_of(type), "has ",
           tensor.raw_data().size(), " bytes, its shape asks for ", count, " numbers");
  }
  const auto size = static_cast<size_t>(count);
  if (c.whole) {
    c.wholes.resize(size);
    tensor.has_raw_data() ? unpack_whole(type, tensor.raw_data(), c.wholes)
                          : copy_whole(tensor, c.wholes);
  } else {
    c.reals.resize(size);
    tensor.has_raw_data() ? unpack_real(type, tensor.raw_data(), c.reals)
                          : copy_real(tensor, c.reals);
  }
  return c;
}

Constant whole_list(const std::vector<Whole>& values) {
  Constant c;
  c.shape = {static_cast<int64_t>(values.size())};
  c.whole = true;
  c.wholes = values;
  return c;
}

std::vector<int64_t> known_values(const Constant& constant) {
  accept(constant.whole, "is given real numbers where whole ones are needed");
  std::vector<int64_t> values;
  for (const Whole& w : constant.wholes) values.push_back(known(w));
  return values;
}

double scalar_of(const Constant& constant) {
  accept(constant.elements() == 1, "is given ", constant.elements(), " values where one is needed");
  return constant.whole ? static_cast<double>(known(constant.wholes[0]))
                        : static_cast<double>(constant.reals[0]);
}

}  // namespace thimble
