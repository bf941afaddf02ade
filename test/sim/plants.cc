#include "sim/plants.h"

#include <algorithm>
#include <functional>
#include <memory>

namespace shoal::test {
namespace {

using wire::MessageType;
using Datagram = std::vector<std::uint8_t>;

constexpr std::size_t kBroken = 1;  // The node that misbehaves.
constexpr std::size_t kVictim = 0;
constexpr Duration kFrom = 20s;  // When the cluster stands.

/// The parts of a datagram, each with its type byte; the datagram of parts.
std::vector<Datagram> taken_apart(Bytes datagram) {
  struct Sink final : wire::MessageSink {
    void on_message(MessageType type, Bytes body) override {
      Datagram part{static_cast<std::uint8_t>(type)};
      part.insert(part.end(), body.begin(), body.end());
      parts.push_back(std::move(part));
    }
    std::vector<Datagram> parts;
  };
  static wire::PacketOpener opener;
  Sink sink;
  static_cast<void>(opener.open(datagram, sink));
  return sink.parts;
}

Datagram put_together(const std::vector<Datagram>& parts) {
  static wire::PacketSealer sealer(false);
  Datagram out(swim::Outbox::kPacketBytesMax);
  sealer.begin();
  for (const Datagram& part : parts) {
    if (!sealer.add(part)) break;
  }
  out.resize(sealer.finish(true, out));
  return out;
}

bool ripe(const Stage& stage) { return stage.cluster.now() - Instant{} > kFrom; }

template <typename Message>
Datagram encoded(const Message& message) {
  Datagram memory(1024);
  ByteWriter writer(memory);
  wire::encode(writer, message);
  memory.resize(writer.size());
  return memory;
}

void no_refutation(Stage& stage) {
  // Everybody is told the worst of the victim, and none of its contradictions. So late that nobody can say it has just
  // come.
  const Instant from_then = Instant{} + stage.checkers.bounds().settle + kFrom;
  stage.cluster.tamper = [&stage, from_then, incarnation = 0U](std::size_t from, Datagram& datagram) mutable {
    if (stage.cluster.now() < from_then || !stage.cluster.started(kVictim)) return 1U;
    std::vector<Datagram> parts = taken_apart(datagram);
    const std::string name = Cluster::name(kVictim);
    std::erase_if(parts, [&name](const Datagram& part) {
      wire::Alive m;
      return part[0] == static_cast<std::uint8_t>(MessageType::kAlive) && wire::decode(Bytes(part).subspan(1), m) &&
             m.node == name;
    });
    if (incarnation == 0) incarnation = stage.cluster.node(kVictim).swim().self().incarnation;
    if (from == kBroken) parts.push_back(encoded(wire::Suspect{incarnation, name, Cluster::name(kBroken)}));
    if (parts.empty()) return 0U;
    datagram = put_together(parts);
    return 1U;
  };
}

void lost_memory(Stage& stage) {
  // What it said is forgotten, although it never stopped: its counters begin anew.
  stage.cluster.tamper = [&stage, done = false](std::size_t, Datagram&) mutable {
    if (!done && ripe(stage) && stage.cluster.running(kBroken) && stage.cluster.node(kBroken).clock() > 2) {
      done = true;
      stage.cluster.lose_memory_soon(kBroken);
    }
    return 1U;
  };
}

void short_versions(Stage& stage) {
  stage.cluster.tamper = [&stage](std::size_t from, Datagram& datagram) {
    if (from != kBroken || !ripe(stage)) return 1U;
    std::vector<Datagram> parts = taken_apart(datagram);
    for (Datagram& part : parts) {
      if (part[0] != static_cast<std::uint8_t>(MessageType::kAlive)) continue;
      part.pop_back();               // The versions stand last, six bytes behind a header
      part[part.size() - 6] = 0xa5;  // that says how many.
    }
    datagram = put_together(parts);
    return 1U;
  };
}

void too_long(Stage& stage) {
  stage.cluster.tamper = [&stage](std::size_t from, Datagram& datagram) {
    if (from == kBroken && ripe(stage)) datagram.resize(wire::kPacketBudget + 6);
    return 1U;
  };
}

void empty_part(Stage& stage) {
  stage.cluster.tamper = [&stage](std::size_t from, Datagram& datagram) {
    if (from != kBroken || !ripe(stage) || datagram.size() > 255) return 1U;
    const auto size = static_cast<std::uint8_t>(datagram.size());
    const std::uint8_t head[] = {static_cast<std::uint8_t>(MessageType::kCompound), 2, 0, 0, 0, size};
    datagram.insert(datagram.begin(), std::begin(head), std::end(head));
    return 1U;
  };
}

void storm(Stage& stage) {
  stage.cluster.tamper = [&stage](std::size_t from, Datagram&) { return from == kBroken && ripe(stage) ? 100U : 1U; };
}

void forged_leave(Stage& stage) {
  stage.cluster.tamper = [&stage](std::size_t from, Datagram& datagram) {
    if (from != kBroken || !ripe(stage) || !stage.cluster.started(kVictim)) return 1U;
    std::vector<Datagram> parts = taken_apart(datagram);
    const std::string name = Cluster::name(kVictim);
    Datagram intent{static_cast<std::uint8_t>(MessageType::kUser)};
    const Datagram leave = encoded(wire::LeaveIntent{stage.cluster.node(kBroken).clock() + 5, name, false});
    intent.insert(intent.end(), leave.begin(), leave.end());
    parts.push_back(std::move(intent));
    datagram = put_together(parts);
    return 1U;
  };
}

// clang-format off
constexpr Plant kPlants[] = {
    {"no-refutation", "a node is suspected and its answers are swallowed", "who is well|events in a cluster at rest", no_refutation},
    {"lost-memory", "a node forgets its counters without a restart", "went back", lost_memory},
    {"short-versions", "an alive with five version numbers, which crashes Go peers", "versions are not six", short_versions},
    {"too-long", "datagrams over the limit", "over the limit", too_long},
    {"empty-part", "a compound with an empty part, which crashes memberlist 0.2.2", "empty_part", empty_part},
    {"storm", "each datagram a hundred times", "datagrams in a second", storm},
    {"forged-leave", "a leave in the name of another", "who did not leave", forged_leave},
};
// clang-format on

}  // namespace

std::span<const Plant> plants() { return kPlants; }

bool found(const Plant& plant, std::string_view failure) {
  std::string_view words = plant.found_as;
  while (!words.empty()) {
    const std::size_t bar = std::min(words.find('|'), words.size());
    if (failure.find(words.substr(0, bar)) != std::string_view::npos) return true;
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return false;
}

const Plant* find_plant(std::string_view name) {
  for (const Plant& plant : kPlants) {
    if (name == plant.name) return &plant;
  }
  return nullptr;
}

}  // namespace shoal::test
