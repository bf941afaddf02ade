// Requests as a client writes them, and what comes back read as a client reads it.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "rpc/message.h"

namespace shoal::rpc {

namespace msgpack = wire::msgpack;
using Memory = std::vector<std::uint8_t>;
using Write = std::function<void(ByteWriter&)>;

/// A header, and a body of `fields` where there are any.
inline Memory request(std::string_view command, std::uint64_t seq, std::uint32_t fields = 0, const Write& body = {}) {
  Memory out;
  append(out, 16'384, [&](ByteWriter& writer) {
    msgpack::put_map(writer, 2);
    msgpack::put_text(writer, "Command", command);
    msgpack::put_uint(writer, "Seq", seq);
    if (!body) return;
    msgpack::put_map(writer, fields);
    body(writer);
  });
  return out;
}

inline Memory handshake(std::uint64_t seq = 0, std::int64_t version = 1) {
  return request("handshake", seq, 1, [=](ByteWriter& out) { msgpack::put_int(out, "Version", version); });
}

inline Memory auth(std::uint64_t seq, std::string_view key) {
  return request("auth", seq, 1, [=](ByteWriter& out) { msgpack::put_text(out, "AuthKey", key); });
}

inline Memory stream(std::uint64_t seq, std::string_view type) {
  return request("stream", seq, 1, [=](ByteWriter& out) { msgpack::put_text(out, "Type", type); });
}

/// What is left to be read of an output.
class Answers {
 public:
  explicit Answers(Memory bytes) : bytes_(std::move(bytes)), in_(bytes_) {}

  struct Header {
    std::string error;
    std::uint64_t seq = 0;
  };
  Header header() {
    Header out;
    REQUIRE(in_.read_map() == 2);
    REQUIRE(in_.read_key() == "Error");
    out.error = in_.read_text();
    REQUIRE(in_.read_key() == "Seq");
    out.seq = in_.read_uint<std::uint64_t>();
    REQUIRE(in_.ok());
    return out;
  }
  /// The error of an answer that has to be to this request.
  std::string error(std::uint64_t seq) {
    const Header found = header();
    CHECK(found.seq == seq);
    return found.error;
  }
  msgpack::Reader& in() { return in_; }
  [[nodiscard]] bool at_end() const { return in_.ok() && in_.left() == 0; }

 private:
  Memory bytes_;
  msgpack::Reader in_;
};

}  // namespace shoal::rpc
