#include "app/snapshot_file.h"

#include <cerrno>
#include <utility>

namespace shoal::app {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;
/// More than any honest file: 10,000 members make some 3 MB before it is compacted.
constexpr std::uint64_t kReadMost = std::uint64_t{256} << 20;

}  // namespace

SnapshotFile::SnapshotFile(reactor::Loop& loop, Log& log) : loop_(loop), log_(log), timer_(loop, [this] { pump(); }) {}

void SnapshotFile::open(const std::string& dir, std::string_view role, std::size_t members_max) {
  if (dir.empty()) return;
  path_ = dir + "/" + std::string(role) + ".snapshot";
  serf::SnapshotReplay replay(members_max, false);
  const auto read = reactor::read_file_pieces(path_, kReadMost, [&replay](Bytes piece) { replay.on_bytes(piece); });
  if (!read.ok() && read.error().code != ENOENT && read.error().code != ENOTDIR) {
    log_.warn("the snapshot cannot be read; members are found again through gossip.join alone",
              {{"reason", read.error().message}});
    return;
  }
  for (const Slot slot : replay.nodes().slots()) known_.push_back(replay.nodes()[slot].endpoint);
  clocks_ = replay.clocks();
  if (replay.lines_bad() + replay.lines_long() > 0) {
    log_.warn("the snapshot has lines that make no sense; they were skipped",
              {{"file", path_}, {"lines", replay.lines_bad() + replay.lines_long()}});
  }
  auto opened = reactor::make_directory(dir, kDirectoryMode);
  if (opened.ok()) opened = file_.open(path_, kFileMode);
  if (!opened.ok()) {
    log_.warn("no snapshot is kept: after a restart members are found again through gossip.join alone",
              {{"reason", opened.error().message},
               {"fix", "set gossip.snapshot_dir to a writable directory, or to \"off\""}});
    return;
  }
  serf::SnapshotOptions options;
  options.members_max = members_max;
  writer_ = std::make_unique<serf::SnapshotWriter>(options, replay);
  log_.debug("snapshot", {{"file", path_}, {"known", known_.size()}, {"left", replay.left()}});
}

void SnapshotFile::on_member_alive(std::string_view name, const Endpoint& endpoint) {
  if (writer_ == nullptr) return;
  writer_->on_member_alive(name, endpoint);
  pump();
}

void SnapshotFile::on_member_gone(std::string_view name) {
  if (writer_ == nullptr) return;
  writer_->on_member_gone(name);
  pump();
}

void SnapshotFile::on_clocks(const serf::SnapshotClocks& clocks) {
  if (writer_ == nullptr) return;
  writer_->on_clocks(clocks);
  pump();
}

void SnapshotFile::leave() {
  if (writer_ == nullptr) return;
  writer_->leave();
  pump();
}

void SnapshotFile::close() {
  if (writer_ == nullptr) return;
  writer_->close();
  pump();
  writer_.reset();
  timer_.stop();
  file_.close();
}

void SnapshotFile::pump() {
  while (const auto effect = writer_->take_effect(loop_.now())) {
    const auto done = carry_out(*effect);
    if (done.ok()) {
      writer_->on_written(loop_.now());
      if (effect->kind == serf::SnapshotEffect::Kind::kFinishCompaction && std::exchange(failing_, false)) {
        log_.info("the snapshot can be written again", {{"file", path_}});
      }
      continue;
    }
    writer_->on_write_failed(loop_.now());
    compacted_.close();
    if (!std::exchange(failing_, true)) {
      log_.warn("the snapshot cannot be written; tried again for ever", {{"reason", done.error().message}});
    }
  }
  timer_.at(writer_->next_deadline());
}

Result<void> SnapshotFile::carry_out(const serf::SnapshotEffect& effect) {
  switch (effect.kind) {
    case serf::SnapshotEffect::Kind::kAppend: return file_.append(effect.bytes);
    case serf::SnapshotEffect::Kind::kSync: return file_.sync();
    case serf::SnapshotEffect::Kind::kBeginCompaction:
      compacted_.close();
      return compacted_.open(path_ + ".compact", kFileMode, reactor::AppendFile::Start::kEmpty);
    case serf::SnapshotEffect::Kind::kCompactionPart: return compacted_.append(effect.bytes);
    case serf::SnapshotEffect::Kind::kFinishCompaction: {
      const auto renamed = compacted_.rename_to(path_);
      if (!renamed.ok()) return renamed;
      file_ = std::move(compacted_);
      compacted_.close();
      return {};
    }
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::app
