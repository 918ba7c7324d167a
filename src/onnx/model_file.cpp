#include "onnx/model_file.h"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <onnx/checker.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/aside_file.h"
#include "base/error.h"

namespace thimble {
namespace {

constexpr int64_t kMostBytes = INT32_MAX;  // what protobuf can read
constexpr int kDeepest = 32;               // messages inside each other; models have about ten

// A pipe is opened without waiting, and refused.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    require(fd_ >= 0, path, ": cannot open: ", std::strerror(errno));
  }
  ~OpenFile() { close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// What protobuf prints about broken files, the error message says.
struct Silence {
  google::protobuf::LogSilencer silencer;
};

}  // namespace

onnx::ModelProto read_model(const std::string& path) {
  const Silence silence;
  const OpenFile file(path);
  struct stat info = {};
  require(fstat(file.fd(), &info) == 0 && S_ISREG(info.st_mode), path, ": is no file");
  require(info.st_size > 0, path, ": is empty");
  require(info.st_size <= kMostBytes, path, ": has ", info.st_size, " bytes, at most ", kMostBytes,
          "; hint: larger models keep their weights in other files, which thimble does not read");
  onnx::ModelProto model;
  google::protobuf::io::FileInputStream stream(file.fd());
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(static_cast<int>(info.st_size));
  coded.SetRecursionLimit(kDeepest);
  const bool whole = model.ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
  require(whole, path, ": is no ONNX model, or a broken one");
  require(model.has_graph(), path, ": is an ONNX file without a graph");
  return model;
}

void write_model(const std::string& path, const onnx::ModelProto& model) {
  const Silence silence;
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& e) {
    throw UserError(str_cat(path, ": cannot be said in ONNX: ", e.what()));
  }
  const size_t bytes = model.ByteSizeLong();
  require(bytes <= static_cast<size_t>(kMostBytes), path, ": would have ", bytes,
          " bytes, at most ", kMostBytes);
  std::string text;
  require(model.SerializeToString(&text), path, ": cannot be written as ONNX");
  AsideFile file(path);
  file.write(text.data(), static_cast<int64_t>(text.size()));
  file.commit();
}

}  // namespace thimble
