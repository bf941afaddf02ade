// The server's half of HTTP/1.1 (RFC 9110, RFC 9112), as little of it as a control socket needs: one request a
// connection, GET or POST, a body only with Content-Length, no chunks, no upgrade, no query. Strict, because whoever
// speaks to us is our own client, curl, or somebody who should not: lines end with CR LF, nothing is folded, nothing is
// guessed. Sans-I/O, in memory of its own; fuzzed by test/fuzz/http_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "admin/routes.h"
#include "base/containers.h"

namespace shoal::admin {

/// Why a request gets no other answer: the status, and words for its client.
struct HttpError {
  int status = 0;  // 400, 404, 405, 411, 413, 414, 417, 431, 501, 505.
  std::string_view message;
  std::string_view allow;  // With 405: the method that the path has.
};

class HttpRequestParser {
 public:
  static constexpr std::size_t kRequestLineMax = 1024;  // Longer: 414.
  static constexpr std::size_t kHeadMax = 8 * 1024;     // All lines with their ends; longer: 431.
  static constexpr std::size_t kHeadersMax = 32;        // More: 431.
  static constexpr std::size_t kBodyMax = 64 * 1024;    // Longer: 413, told before the body comes.

  enum class State : std::uint8_t {
    kReading,   // More bytes are needed.
    kComplete,  // route() and body() are good. Further bytes are ignored.
    kFailed,    // error() says what to answer. Further bytes are ignored.
  };

  HttpRequestParser();
  /// The next piece of the stream; pieces may end anywhere. Allocates nothing.
  State on_bytes(Bytes bytes);
  /// For the next connection.
  void reset();

  [[nodiscard]] State state() const { return state_; }
  /// REQUIRES: kComplete. The route's method is that of the request.
  [[nodiscard]] const Route& route() const { return *route_; }
  /// REQUIRES: kComplete. Borrowed until reset.
  [[nodiscard]] std::string_view body() const;
  /// REQUIRES: kFailed.
  [[nodiscard]] const HttpError& error() const { return error_; }

 private:
  enum class Part : std::uint8_t { kRequestLine, kHeaders, kBody };
  enum class Known : std::uint8_t { kGet, kPost, kOther };  // kOther: a method of HTTP that no route has.

  void on_head_byte(std::uint8_t byte);
  void on_line(std::string_view line);
  void on_request_line(std::string_view line);
  void on_header(std::string_view line);
  void on_content_length(std::string_view value);
  void on_head_end();
  void fail(int status, std::string_view message, std::string_view allow = {});

  Buffer memory_;  // The line under way, then the body.
  std::size_t line_size_ = 0;
  std::size_t head_size_ = 0;
  std::size_t body_size_ = 0;    // So far.
  std::size_t body_wanted_ = 0;  // As Content-Length says.
  std::uint32_t headers_ = 0;
  std::uint32_t hosts_ = 0;
  bool has_length_ = false;
  bool http_1_0_ = false;
  Known method_ = Known::kGet;
  Part part_ = Part::kRequestLine;
  State state_ = State::kReading;
  const Route* route_ = nullptr;
  HttpError error_;
};

/// A whole answer with a JSON body, and the connection's end announced.
[[nodiscard]] std::string http_response(int status, std::string_view json, std::string_view allow = {});
[[nodiscard]] std::string http_response(const HttpError& error);

}  // namespace shoal::admin
