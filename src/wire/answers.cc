// What serf's own queries carry and are answered with: who has a name, and the changes to the keyring
// (gossip-protocol facts 5.9).
#include <array>

#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using msgpack::Reader;
using Name = std::string_view;

void put_type(ByteWriter& out, SerfType type) { out.u8(static_cast<std::uint8_t>(type)); }

// A map or list as it stands, empty for nil.
Bytes read_whole(Reader& in) {
  const bool nil = in.at_nil();
  const Bytes object = in.skip();
  return nil ? Bytes{} : object;
}

void put_whole(ByteWriter& out, Name key, Bytes object) {
  msgpack::put_text(out, key);
  if (object.empty()) return msgpack::put_nil(out);
  out.put(object);
}

bool is_text_map(Bytes map) {
  Reader in(map);
  const std::uint32_t count = in.read_map();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    (void)in.read_key();
    (void)in.read_text();
  }
  return in.ok();
}

bool is_text_list(Bytes list) {
  Reader in(list);
  const std::uint32_t count = in.read_array();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) (void)in.read_text();
  return in.ok();
}

void put_member(ByteWriter& out, const Member& m) {
  msgpack::put_map(out, 11);
  msgpack::put_bytes(out, "Addr", m.addr);
  msgpack::put_uint(out, "DelegateCur", m.delegate_cur);
  msgpack::put_uint(out, "DelegateMax", m.delegate_max);
  msgpack::put_uint(out, "DelegateMin", m.delegate_min);
  msgpack::put_text(out, "Name", m.name);
  msgpack::put_uint(out, "Port", m.port);
  msgpack::put_uint(out, "ProtocolCur", m.protocol_cur);
  msgpack::put_uint(out, "ProtocolMax", m.protocol_max);
  msgpack::put_uint(out, "ProtocolMin", m.protocol_min);
  msgpack::put_int(out, "Status", m.status);
  put_whole(out, "Tags", m.tags);
}

void read_member(Reader& in, Member& m) {
  static constexpr std::array<Name, 11> kNames = {"Name",        "Addr",        "Port",        "Tags",
                                                  "Status",      "ProtocolMin", "ProtocolMax", "ProtocolCur",
                                                  "DelegateMin", "DelegateMax", "DelegateCur"};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: m.name = in.read_text(); break;
      case 1: m.addr = in.read_bytes(); break;
      case 2: m.port = in.read_uint<std::uint16_t>(); break;
      case 3: m.tags = read_whole(in); break;
      case 4: m.status = in.read_int(); break;
      case 5: m.protocol_min = in.read_uint<std::uint8_t>(); break;
      case 6: m.protocol_max = in.read_uint<std::uint8_t>(); break;
      case 7: m.protocol_cur = in.read_uint<std::uint8_t>(); break;
      case 8: m.delegate_min = in.read_uint<std::uint8_t>(); break;
      case 9: m.delegate_max = in.read_uint<std::uint8_t>(); break;
      case 10: m.delegate_cur = in.read_uint<std::uint8_t>(); break;
    }
  });
  if (!m.tags.empty() && !is_text_map(m.tags)) in.fail();
}

}  // namespace

void encode(ByteWriter& out, const ConflictResponse& m) {
  put_type(out, SerfType::kConflictResponse);
  if (m.member) {
    put_member(out, *m.member);
  } else {
    msgpack::put_nil(out);
  }
}

bool decode(Bytes body, ConflictResponse& out) {
  out = {};
  if (body.empty()) return false;
  Reader in(body);
  if (in.at_nil()) return true;
  read_member(in, out.member.emplace());
  return in.ok();
}

void encode(ByteWriter& out, const KeyRequest& m) {
  put_type(out, SerfType::kKeyRequest);
  msgpack::put_map(out, 1);
  msgpack::put_bytes(out, "Key", m.key);
}

bool decode(Bytes body, KeyRequest& out) {
  static constexpr std::array<Name, 1> kNames = {"Key"};
  out = {};
  Reader in(body);
  msgpack::read_struct(in, kNames, [&](std::uint32_t) { out.key = in.read_bytes(); });
  return in.ok() && !body.empty();
}

void encode(ByteWriter& out, const KeyResponse& m) {
  put_type(out, SerfType::kKeyResponse);
  msgpack::put_map(out, 4);
  put_whole(out, "Keys", m.keys);
  msgpack::put_text(out, "Message", m.message);
  msgpack::put_text(out, "PrimaryKey", m.primary_key);
  msgpack::put_bool(out, "Result", m.result);
}

bool decode(Bytes body, KeyResponse& out) {
  static constexpr std::array<Name, 4> kNames = {"Result", "Message", "Keys", "PrimaryKey"};
  out = {};
  Reader in(body);
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.result = in.read_bool(); break;
      case 1: out.message = in.read_text(); break;
      case 2: out.keys = read_whole(in); break;
      case 3: out.primary_key = in.read_text(); break;
    }
  });
  return in.ok() && !body.empty() && (out.keys.empty() || is_text_list(out.keys));
}

void encode_key_list(ByteWriter& out, std::span<const std::string_view> keys) {
  msgpack::put_array(out, static_cast<std::uint32_t>(keys.size()));
  for (const std::string_view key : keys) msgpack::put_text(out, key);
}

namespace detail {

bool next_text(Bytes list, TextWalk& walk) {
  if (!walk.started) {
    walk.started = true;
    if (list.empty()) return false;
    Reader in(list);
    walk.left = in.read_array();
    walk.rest = in.rest();
  }
  if (walk.left == 0) return false;
  Reader in(walk.rest);
  walk.text = in.read_text();
  if (!in.ok()) return false;
  walk.rest = in.rest();
  --walk.left;
  return true;
}

}  // namespace detail
}  // namespace shoal::wire
