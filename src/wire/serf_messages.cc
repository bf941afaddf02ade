// The serf messages that travel as the payload of memberlist user messages. Field names stand in the order of Go's
// declarations; they are written in ascending order.
#include <array>

#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using msgpack::Reader;
using Name = std::string_view;

void begin(ByteWriter& out, SerfType type, std::uint32_t fields) {
  out.u8(static_cast<std::uint8_t>(type));
  msgpack::put_map(out, fields);
}

// An empty body is no object at all.
bool finished(const Reader& in, Bytes body) { return in.ok() && !body.empty(); }

// The list as it stands, checked to be one of byte strings; empty for nil.
Bytes read_filters(Reader& in) {
  if (in.at_nil()) {
    in.skip();
    return {};
  }
  const Bytes filters = in.skip();
  Reader list(filters);
  const std::uint32_t count = list.read_array();
  for (std::uint32_t i = 0; i < count && list.ok(); ++i) (void)list.read_bytes();
  if (!list.ok()) in.fail();
  return filters;
}

// Go's net.UDPAddr. Its Zone is of no use to us.
void read_address(Reader& in, Relay& out) {
  static constexpr std::array<Name, 3> kNames = {"IP", "Port", "Zone"};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.dest_ip = in.read_bytes(); break;
      case 1: out.dest_port = in.read_uint<std::uint16_t>(); break;
      case 2: (void)in.read_text(); break;
    }
  });
}

}  // namespace

void encode(ByteWriter& out, const LeaveIntent& m) {
  begin(out, SerfType::kLeave, 3);
  msgpack::put_uint(out, "LTime", m.ltime);
  msgpack::put_text(out, "Node", m.node);
  msgpack::put_bool(out, "Prune", m.prune);
}

void encode(ByteWriter& out, const JoinIntent& m) {
  begin(out, SerfType::kJoin, 2);
  msgpack::put_uint(out, "LTime", m.ltime);
  msgpack::put_text(out, "Node", m.node);
}

void encode(ByteWriter& out, const UserEvent& m) {
  begin(out, SerfType::kUserEvent, 4);
  msgpack::put_bool(out, "CC", m.cc);
  msgpack::put_uint(out, "LTime", m.ltime);
  msgpack::put_text(out, "Name", m.name);
  msgpack::put_bytes(out, "Payload", m.payload);
}

void encode(ByteWriter& out, const Query& m) {
  begin(out, SerfType::kQuery, 11);
  msgpack::put_bytes(out, "Addr", m.addr);
  msgpack::put_text(out, "Filters");
  if (m.filters.empty()) {
    msgpack::put_nil(out);
  } else {
    out.put(m.filters);
  }
  msgpack::put_uint(out, "Flags", m.flags);
  msgpack::put_uint(out, "ID", m.id);
  msgpack::put_uint(out, "LTime", m.ltime);
  msgpack::put_text(out, "Name", m.name);
  msgpack::put_bytes(out, "Payload", m.payload);
  msgpack::put_uint(out, "Port", m.port);
  msgpack::put_uint(out, "RelayFactor", m.relay_factor);
  msgpack::put_text(out, "SourceNode", m.source_node);
  msgpack::put_int(out, "Timeout", m.timeout_ns);
}

void encode(ByteWriter& out, const QueryResponse& m) {
  begin(out, SerfType::kQueryResponse, 5);
  msgpack::put_uint(out, "Flags", m.flags);
  msgpack::put_text(out, "From", m.from);
  msgpack::put_uint(out, "ID", m.id);
  msgpack::put_uint(out, "LTime", m.ltime);
  msgpack::put_bytes(out, "Payload", m.payload);
}

void encode(ByteWriter& out, const Relay& m) {
  begin(out, SerfType::kRelay, 2);
  msgpack::put_text(out, "DestAddr");
  msgpack::put_map(out, 3);
  msgpack::put_bytes(out, "IP", m.dest_ip);
  msgpack::put_int(out, "Port", m.dest_port);
  msgpack::put_text(out, "Zone", "");
  msgpack::put_text(out, "DestName", m.dest_name);
  out.put(m.message);
}

bool decode(Bytes body, LeaveIntent& out) {
  static constexpr std::array<Name, 3> kNames = {"LTime", "Node", "Prune"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.node = in.read_text(); break;
      case 2: out.prune = in.read_bool(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, JoinIntent& out) {
  static constexpr std::array<Name, 2> kNames = {"LTime", "Node"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.node = in.read_text(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, UserEvent& out) {
  static constexpr std::array<Name, 4> kNames = {"LTime", "Name", "Payload", "CC"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.name = in.read_text(); break;
      case 2: out.payload = in.read_bytes(); break;
      case 3: out.cc = in.read_bool(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, Query& out) {
  static constexpr std::array<Name, 11> kNames = {"LTime", "ID",          "Addr",    "Port", "SourceNode", "Filters",
                                                  "Flags", "RelayFactor", "Timeout", "Name", "Payload"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.id = in.read_uint<std::uint32_t>(); break;
      case 2: out.addr = in.read_bytes(); break;
      case 3: out.port = in.read_uint<std::uint16_t>(); break;
      case 4: out.source_node = in.read_text(); break;
      case 5: out.filters = read_filters(in); break;
      case 6: out.flags = in.read_uint<std::uint32_t>(); break;
      case 7: out.relay_factor = in.read_uint<std::uint8_t>(); break;
      case 8: out.timeout_ns = in.read_int(); break;
      case 9: out.name = in.read_text(); break;
      case 10: out.payload = in.read_bytes(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, QueryResponse& out) {
  static constexpr std::array<Name, 5> kNames = {"LTime", "ID", "From", "Flags", "Payload"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.id = in.read_uint<std::uint32_t>(); break;
      case 2: out.from = in.read_text(); break;
      case 3: out.flags = in.read_uint<std::uint32_t>(); break;
      case 4: out.payload = in.read_bytes(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, Relay& out) {
  static constexpr std::array<Name, 2> kNames = {"DestAddr", "DestName"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: read_address(in, out); break;
      case 1: out.dest_name = in.read_text(); break;
    }
  });
  out.message = in.rest();
  return finished(in, body);
}

}  // namespace shoal::wire
