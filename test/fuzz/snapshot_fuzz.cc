// The snapshot file: whatever is in it is read to its end, the same however it is cut, and what a writer makes of it
// after a compaction reads as the same members and times. Then a disk that fails as the input says.
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "serf/snapshot.h"
#include "target.h"

namespace {

using namespace shoal;
using serf::SnapshotEffect;

constexpr std::size_t kMembersMax = 8;

std::map<std::string, std::string> members_of(const serf::SnapshotReplay& replay) {
  std::map<std::string, std::string> out;
  for (const Slot slot : replay.nodes().slots()) {
    const serf::SnapshotNode& node = replay.nodes()[slot];
    out[std::string(node.name.view())] = std::string(to_text(node.endpoint).view());
  }
  return out;
}

serf::SnapshotReplay read(std::string_view text, bool rejoin, std::size_t step) {
  serf::SnapshotReplay replay(kMembersMax, rejoin);
  while (!text.empty()) {
    const std::size_t piece = std::min(step, text.size());
    replay.on_bytes(as_bytes(text.substr(0, piece)));
    text.remove_prefix(piece);
  }
  return replay;
}

/// The two files as effects make them.
struct Disk {
  std::string file, compact;

  void apply(const SnapshotEffect& effect) {
    switch (effect.kind) {
      case SnapshotEffect::Kind::kAppend: file += as_text(effect.bytes); break;
      case SnapshotEffect::Kind::kSync: break;
      case SnapshotEffect::Kind::kBeginCompaction: compact.clear(); break;
      case SnapshotEffect::Kind::kCompactionPart: compact += as_text(effect.bytes); break;
      case SnapshotEffect::Kind::kFinishCompaction: file = compact; break;
    }
  }
  /// Part of it may be in the file.
  void fail(const SnapshotEffect& effect, std::size_t kept) {
    if (effect.kind == SnapshotEffect::Kind::kAppend)
      file += as_text(effect.bytes.first(kept % (effect.bytes.size() + 1)));
  }
};

class Life {
 public:
  Life(std::string text, fuzz::Input& in) : in_(in), writer_(options(), read(text, false, 4096)) {
    disk_.file = std::move(text);
  }

  void run() {
    for (int step = 0; step < 100 && !in_.empty(); ++step) {
      act(in_.u8());
      while (const auto effect = writer_.take_effect(now_)) {
        if (in_.u8() % 8 == 7) {
          disk_.fail(*effect, in_.u8());
          writer_.on_write_failed(now_);
        } else {
          disk_.apply(*effect);
          writer_.on_written(now_);
        }
      }
      SHOAL_ASSERT(writer_.next_deadline() > now_);
    }
    end();
  }

 private:
  static serf::SnapshotOptions options() {
    serf::SnapshotOptions out;
    out.members_max = kMembersMax;
    out.compact_size_min = 512;
    return out;
  }
  void act(std::uint8_t what) {
    const std::string name = "n" + std::to_string(what >> 4 & 7);
    switch (what % 4) {
      case 0: {
        const Endpoint at{IpAddress::v4(10, 0, 0, in_.u8() % 4), 7946};
        writer_.on_member_alive(name, at);
        break;
      }
      case 1: writer_.on_member_gone(name); break;
      case 2:
        clocks_.member += in_.u8();
        clocks_.query += in_.u8();
        writer_.on_clocks(clocks_);
        break;
      default: now_ += std::chrono::milliseconds(in_.u16());
    }
  }
  /// A good disk at the end: everything that is known stands in the file.
  void end() {
    now_ += 1h;
    writer_.close();
    for (int i = 0; i < 10'000 && !writer_.closed(now_); ++i) {
      const auto effect = writer_.take_effect(now_);
      if (!effect) {
        now_ = std::max(now_, writer_.next_deadline());
        continue;
      }
      disk_.apply(*effect);
      writer_.on_written(now_);
    }
    SHOAL_ASSERT(writer_.closed(now_));
    const serf::SnapshotReplay after = read(disk_.file, false, 64);
    SHOAL_ASSERT(after.nodes().size() == writer_.alive());
    SHOAL_ASSERT(after.clocks().member >= clocks_.member || clocks_.member >= serf::LamportClock::kTimeAbsurd);
  }

  fuzz::Input& in_;
  serf::SnapshotWriter writer_;
  Disk disk_;
  serf::SnapshotClocks clocks_;
  Instant now_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A text up to the first zero byte, then what happens to it.
  const Bytes all(data, size);
  const std::string text = fuzz::copy_of(all.first(std::min<std::size_t>(size, as_text(all).find('\0'))));
  for (const bool rejoin : {false, true}) {
    const serf::SnapshotReplay whole = read(text, rejoin, text.size() + 1);
    const serf::SnapshotReplay pieces = read(text, rejoin, 3);
    SHOAL_ASSERT(members_of(whole) == members_of(pieces) && whole.clocks() == pieces.clocks());
    SHOAL_ASSERT(whole.left() == pieces.left() && whole.cut_off() == pieces.cut_off());
    SHOAL_ASSERT(whole.lines_bad() == pieces.lines_bad() && whole.lines_long() == pieces.lines_long());
    SHOAL_ASSERT(whole.size_bytes() == text.size());
    SHOAL_ASSERT(whole.cut_off() == (!text.empty() && text.back() != '\n'));
  }
  fuzz::Input in(data + text.size(), size - text.size());
  (void)in.u8();
  Life(text, in).run();
  return 0;
}
