#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/messages.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

template <typename Message>
std::string encoded(const Message& message, std::size_t room = 4096) {
  Memory memory(room);
  ByteWriter out(memory);
  encode(out, message);
  return out.ok() ? to_hex(out.written()) : "does not fit";
}

Memory key_list(std::span<const std::string_view> keys) {
  Memory memory(4096);
  ByteWriter out(memory);
  encode_key_list(out, keys);
  memory.resize(out.size());
  return memory;
}

std::string member_tags(Bytes meta) {
  Memory memory(1024);
  ByteWriter out(memory);
  return encode_member_tags(out, meta) ? to_hex(out.written()) : "malformed";
}

TEST_CASE("G36: key requests, their answers and an unknown member are written and read as Go has them") {
  CHECK(encoded(KeyRequest{as_bytes("0123456789abcdef")}) == golden("G36a"));
  const std::array<std::string_view, 1> keys = {"QQ=="};
  const Memory list = key_list(keys);
  CHECK(encoded(KeyResponse{.result = true, .keys = list, .primary_key = "QQ=="}) == golden("G36b"));
  CHECK(encoded(ConflictResponse{}) == golden("G36c"));

  const Memory request_bytes = from_hex(golden("G36a"));
  KeyRequest request;
  REQUIRE(decode(Bytes(request_bytes).subspan(1), request));
  CHECK(as_text(request.key) == "0123456789abcdef");
  const Memory response_bytes = from_hex(golden("G36b"));
  KeyResponse response;
  REQUIRE(decode(Bytes(response_bytes).subspan(1), response));
  CHECK(response.result);
  CHECK(response.message.empty());
  CHECK(response.primary_key == "QQ==");
  std::string told;
  for_each_key(response.keys, [&](std::string_view key) { told += std::string(key) + " "; });
  CHECK(told == "QQ== ");
  const Memory unknown = from_hex(golden("G36c"));
  ConflictResponse conflict{Member{}};
  REQUIRE(decode(Bytes(unknown).subspan(1), conflict));
  CHECK_FALSE(conflict.member.has_value());
}

TEST_CASE("G37: a member is written and read in all its fields") {
  const Memory addr = from_hex("7f000001");
  const Memory tags = from_hex("81a4726f6c65a47461736b");
  const Member in{.name = "n1",
                  .addr = addr,
                  .port = 7946,
                  .tags = tags,
                  .status = 1,
                  .protocol_min = 1,
                  .protocol_max = 5,
                  .protocol_cur = 2,
                  .delegate_min = 2,
                  .delegate_max = 5,
                  .delegate_cur = 4};
  CHECK(encoded(ConflictResponse{in}) == golden("G37"));
  const Memory bytes = from_hex(encoded(ConflictResponse{in}));
  ConflictResponse out;
  REQUIRE(decode(Bytes(bytes).subspan(1), out));
  REQUIRE(out.member.has_value());
  CHECK(out.member->name == "n1");
  CHECK(to_hex(out.member->addr) == "7f000001");
  CHECK(out.member->port == 7946);
  CHECK(to_hex(out.member->tags) == to_hex(tags));
  CHECK(out.member->status == 1);
  CHECK(out.member->protocol_min == 1);
  CHECK(out.member->protocol_max == 5);
  CHECK(out.member->protocol_cur == 2);
  CHECK(out.member->delegate_min == 2);
  CHECK(out.member->delegate_max == 5);
  CHECK(out.member->delegate_cur == 4);
}

TEST_CASE("a member's tags are those of its Meta, or its role alone") {
  CHECK(member_tags(from_hex(golden("G30"))) == "81a4726f6c65a47461736b");
  CHECK(member_tags(from_hex(golden("G31"))) == "80");
  CHECK(member_tags(as_bytes("task")) == "81a4726f6c65a47461736b");
  CHECK(member_tags({}) == "81a4726f6c65a0");
  CHECK(member_tags(from_hex("ff81a4726f6c65")) == "malformed");
}

TEST_CASE("a list request has no key; an answer without keys has none either") {
  CHECK(encoded(KeyRequest{}) == "0781a34b6579c0");
  for (const char* hex : {"81a34b6579c0", "81a34b6579a0", "80", "c0"}) {
    KeyRequest request{as_bytes("x")};
    const Memory body = from_hex(hex);
    REQUIRE(decode(body, request));
    CHECK(request.key.empty());
  }
  const std::string refused = encoded(KeyResponse{.result = false, .message = "no"});
  CHECK(refused == "0884a44b657973c0a74d657373616765a26e6faa5072696d6172794b6579a0a6526573756c74c2");
  const Memory bytes = from_hex(refused);
  KeyResponse response{.result = true};
  REQUIRE(decode(Bytes(bytes).subspan(1), response));
  CHECK_FALSE(response.result);
  CHECK(response.message == "no");
  int keys = 0;
  for_each_key(response.keys, [&](std::string_view) { ++keys; });
  CHECK(keys == 0);
}

TEST_CASE("fewer keys make an answer fit") {
  const std::string key(44, 'k');
  const std::array<std::string_view, 3> keys = {key, key, key};
  const auto size = [&](std::size_t count) {
    const Memory list = key_list(std::span(keys).first(count));
    return encoded(KeyResponse{.result = true, .keys = list, .primary_key = key}).size() / 2;
  };
  const Memory all = key_list(keys);
  const KeyResponse response{.result = true, .keys = all, .primary_key = key};
  CHECK(encoded(response, size(3)) != "does not fit");
  CHECK(encoded(response, size(3) - 1) == "does not fit");
  CHECK(size(3) - size(2) == 44 + 3);  // raw16
  const Memory fewer = key_list(std::span(keys).first(2));
  CHECK(encoded(KeyResponse{.result = true, .keys = fewer, .primary_key = key}, size(3) - 1) != "does not fit");
}

TEST_CASE("malformed answers are refused") {
  ConflictResponse conflict;
  KeyRequest request;
  KeyResponse response;
  CHECK_FALSE(decode(Bytes{}, conflict));
  CHECK_FALSE(decode(Bytes{}, request));
  CHECK_FALSE(decode(Bytes{}, response));
  for (const char* hex : {"01", "81a4506f7274ff", "81a45461677301", "81a45461677381a16101", "81a4546167738101a161"}) {
    CAPTURE(hex);
    CHECK_FALSE(decode(from_hex(hex), conflict));
  }
  CHECK(decode(from_hex("81a454616773c0"), conflict));
  CHECK(conflict.member->tags.empty());
  for (const char* hex : {"01", "81a44b65797301", "81a44b6579739101", "81a44b65797392a16b", "81a6526573756c7402"}) {
    CAPTURE(hex);
    CHECK_FALSE(decode(from_hex(hex), response));
  }
  for (const char* id : {"G36b", "G37"}) {
    const Memory whole = from_hex(golden(id));
    for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
      const Bytes body = Bytes(whole).subspan(1, size);
      CHECK_FALSE((id == std::string_view("G37") ? decode(body, conflict) : decode(body, response)));
    }
  }
}

}  // namespace
}  // namespace shoal::wire
