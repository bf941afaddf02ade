// The beginning of an HTTP/1 answer: its status, which is all that a probe wants to know. Sans-I/O, fixed memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/containers.h"

namespace shoal {

struct HttpStatusLine {
  int minor_version = 1;  // HTTP/1.0 or HTTP/1.1
  int status = 0;         // 100 to 599
};

/// `line` without its end: "HTTP/1.1 200 OK". The reason may be missing; nothing else may.
[[nodiscard]] std::optional<HttpStatusLine> parse_http_status_line(std::string_view line);

/// Reads one answer up to its final status. Interim answers (1xx, but 101) before it are skipped. A line may end with
/// LF alone, as HAProxy's own check lets it.
class HttpStatusReader {
 public:
  static constexpr std::size_t kLineMax = 1024;
  static constexpr std::size_t kBytesMax = std::size_t{16} * 1024;  // Before the end of the final status line.

  enum class State : std::uint8_t {
    kReading,
    kComplete,  // status() is good. Further bytes are ignored.
    kFailed,    // This is no HTTP/1 answer.
  };
  State on_bytes(Bytes bytes);
  void reset();
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] int status() const { return status_; }

 private:
  State on_line(std::string_view line);

  State state_ = State::kReading;
  bool in_interim_ = false;  // Among the header lines of an interim answer.
  int status_ = 0;
  std::size_t read_ = 0;
  FixedString<kLineMax> line_;
};

}  // namespace shoal
