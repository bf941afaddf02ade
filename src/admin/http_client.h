// The client's half of HTTP/1.1 for the control socket: a request as text, and a parser for the answer. Sans-I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "admin/routes.h"
#include "base/bytes.h"

namespace shoal::admin {

/// `json` is the body of a POST; empty for a GET.
[[nodiscard]] std::string http_request(const Route& route, std::string_view json);

/// One answer. It must have a Content-Length, since a connection that ends early must not look like a short list.
class HttpResponseParser {
 public:
  static constexpr std::size_t kHeadMax = 8 * 1024;
  /// The largest list of members: 100,000 of some 600 bytes.
  static constexpr std::size_t kBodyMax = std::size_t{64} * 1024 * 1024;

  enum class State : std::uint8_t {
    kReading,
    kComplete,  // status() and body() are good. Further bytes are ignored.
    kFailed,    // This is no answer of a shoal.
  };
  State on_bytes(Bytes bytes);
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& body() const { return body_; }

 private:
  void take_head(std::string_view head);

  State state_ = State::kReading;
  std::string head_;
  bool in_body_ = false;
  std::string body_;
  std::size_t body_wanted_ = 0;
  int status_ = 0;
};

}  // namespace shoal::admin
