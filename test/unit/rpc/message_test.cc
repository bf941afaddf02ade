#include "rpc/message.h"

#include "requests.h"
#include "wire/messages.h"

namespace shoal::rpc {
namespace {

constexpr std::size_t kLimit = 65'536;

Request read(const Memory& bytes) {
  Request out;
  std::size_t size = 0;
  REQUIRE(read_request(bytes, kLimit, out, size) == ReadStatus::kComplete);
  CHECK(size == bytes.size());
  return out;
}

ReadStatus status_of(Bytes bytes, std::size_t limit = kLimit) {
  Request out;
  std::size_t size = 0;
  return read_request(bytes, limit, out, size);
}

TEST_CASE("a request is read as the stock client writes it") {
  // {"Command": "handshake", "Seq": 0} {"Version": 1}, as a serf 0.9.4 sends it (gossip-protocol facts, G39).
  const std::string_view sent(
      "\x82\xa7"
      "Command"
      "\xa9"
      "handshake"
      "\xa3"
      "Seq"
      "\x00\x81\xa7"
      "Version"
      "\x01",
      34);
  const Request request = read(Memory(sent.begin(), sent.end()));
  CHECK(request.command == Command::kHandshake);
  CHECK(request.seq == 0);
  CHECK(request.version == 1);
}

TEST_CASE("each command's own fields are read, and others' are not") {
  const Memory query = request("query", 7, 9, [](ByteWriter& out) {
    msgpack::put_text(out, "Name", "uptime");
    msgpack::put_bytes(out, "Payload", as_bytes("x"));
    msgpack::put_bool(out, "RequestAck", true);
    msgpack::put_uint(out, "RelayFactor", 3);
    msgpack::put_int(out, "Timeout", 500'000'000);
    msgpack::put_text(out, "FilterNodes");
    msgpack::put_array(out, 2);
    msgpack::put_text(out, "a");
    msgpack::put_text(out, "b");
    msgpack::put_text(out, "FilterTags");
    msgpack::put_map(out, 1);
    msgpack::put_text(out, "role", "^task$");
    msgpack::put_text(out, "Node", "not of a query");
    msgpack::put_text(out, "Unknown");
    msgpack::put_array(out, 1);
    msgpack::put_nil(out);
  });
  const Request request = read(query);
  CHECK(request.command == Command::kQuery);
  CHECK(request.seq == 7);
  CHECK(request.name == "uptime");
  CHECK(as_text(request.payload) == "x");
  CHECK(request.ack);
  CHECK(request.relay_factor == 3);
  CHECK(request.timeout_ns == 500'000'000);
  CHECK(request.names == std::vector<std::string_view>{"a", "b"});
  REQUIRE(request.pairs.size() == 1);
  CHECK(request.pairs[0].second == "^task$");
  CHECK(request.node.empty());
  for (std::size_t size = 0; size < query.size(); ++size) {
    CHECK(status_of(Bytes(query).first(size)) == ReadStatus::kIncomplete);
  }
}

TEST_CASE("commands without a body leave what follows alone") {
  Memory two = request("members", 1);
  const std::size_t first = two.size();
  const Memory next = request("leave", 2);
  two.insert(two.end(), next.begin(), next.end());
  Request out;
  std::size_t size = 0;
  REQUIRE(read_request(two, kLimit, out, size) == ReadStatus::kComplete);
  CHECK(out.command == Command::kMembers);
  CHECK(size == first);
}

TEST_CASE("what is no request is told from half of one and from an unknown command") {
  CHECK(status_of(request("nonsense", 5)) == ReadStatus::kUnknown);
  CHECK(status_of(as_bytes("GET / HTTP/1.1\r\n\r\n")) == ReadStatus::kMalformed);
  const Memory number_for_text = request("event", 1, 1, [](ByteWriter& out) { msgpack::put_uint(out, "Name", 5); });
  CHECK(status_of(number_for_text) == ReadStatus::kMalformed);
  const Memory too_many_relays =
      request("query", 1, 1, [](ByteWriter& out) { msgpack::put_uint(out, "RelayFactor", 256); });
  CHECK(status_of(too_many_relays) == ReadStatus::kMalformed);
  // A map that says it has four thousand million entries.
  CHECK(status_of(as_bytes("\xdf\xff\xff\xff\xff")) == ReadStatus::kMalformed);
  const Memory large =
      request("event", 1, 1, [](ByteWriter& out) { msgpack::put_bytes(out, "Payload", Memory(8'000)); });
  CHECK(status_of(large, 4'000) == ReadStatus::kMalformed);
  CHECK(status_of(large, 10'000) == ReadStatus::kComplete);
}

TEST_CASE("an answer's header always has both fields") {
  Memory out;
  write_header(out, 1, "");
  write_header(out, 300, "No such thing");
  Answers answers(out);
  CHECK(answers.error(1).empty());
  CHECK(answers.error(300) == "No such thing");
  CHECK(answers.at_end());
}

TEST_CASE("bytes are written as bytes, and none as nil") {
  Memory out;
  append(out, 64, [](ByteWriter& writer) {
    put_bin(writer, "A", as_bytes("x"));
    put_bin(writer, "B", {});
  });
  CHECK(as_text(out) == std::string_view("\xa1"
                                         "A\xc5\x00\x01x\xa1"
                                         "B\xc0",
                                         9));
}

TEST_CASE("a member is written whole, with whatever its tags are") {
  Memory meta(512);
  ByteWriter tags(meta);
  wire::encode_tags_header(tags, 2);
  wire::encode_tag(tags, "role", "task");
  wire::encode_tag(tags, "zone", "a");
  Member member;
  member.name = "web-1";
  member.address = IpAddress::v4(10, 0, 0, 1);
  member.port = 7946;
  member.status = "alive";
  const auto tags_of = [&member](Bytes bytes) {
    member.meta = bytes;
    Memory out;
    write_member(out, member);
    msgpack::Reader in(out);
    std::vector<std::string> found;
    const std::uint32_t count = in.read_map();
    CHECK(count == 11);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (in.read_key() != "Tags") {
        in.skip();
        continue;
      }
      const std::uint32_t of_them = in.read_map();
      for (std::uint32_t k = 0; k < of_them; ++k) {
        const std::string key(in.read_key());
        found.push_back(key + "=" + std::string(in.read_text()));
      }
    }
    CHECK((in.ok() && in.left() == 0));
    return found;
  };
  CHECK(tags_of(tags.written()) == std::vector<std::string>{"role=task", "zone=a"});
  CHECK(tags_of(as_bytes("old-role")) == std::vector<std::string>{"role=old-role"});
  // Half a map of somebody else's must not put the stream out of step.
  CHECK(tags_of(tags.written().first(tags.size() - 3)).empty());
}

}  // namespace
}  // namespace shoal::rpc
