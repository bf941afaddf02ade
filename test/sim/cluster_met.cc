// A cluster that has met, without the meeting: that takes n x n messages and, among thousands, a quarter of an hour of
// virtual time. Nothing is put into a core but by its inputs: the first node hears of each other one by a datagram, and
// what it answers to a push/pull is what all others hear.
#include "sim/cluster.h"

namespace shoal::test {

void Cluster::start_met(std::size_t count, const Tags& tags) {
  SHOAL_ASSERT(count >= 2);
  for (std::size_t node = 0; node < count; ++node) start(node, node, tags);
  for (std::size_t node = 1; node < count; ++node) {
    const swim::Record& record = nodes_[node]->core->swim().self();
    const swim::Versions versions = record.versions();
    std::vector<std::uint8_t> memory(swim::BroadcastQueue::kMessageBytesMax);
    ByteWriter writer(memory);
    wire::encode(writer, wire::Alive{record.incarnation, record.name.view(), record.profile.address(),
                                     record.profile.port(), record.meta(), versions});
    nodes_[0]->core->on_packet(local(0), endpoint(node), writer.written(), *outbox_);
    outbox_->clear();
  }
  const std::vector<std::uint8_t> state = state_of(0, 1);
  for (std::size_t node = 1; node < count; ++node) hear_state(node, 0, state);
  for (std::size_t node = 0; node < count; ++node) {
    SHOAL_ASSERT(nodes_[node]->core->members().size() == count);
    update_contact(node);
    reschedule(node);
  }
}

// What `teller` answers to the push/pull of `asker`.
std::vector<std::uint8_t> Cluster::state_of(std::size_t teller, std::size_t asker) {
  serf::Node& from = *nodes_[asker]->core;
  serf::Node& to = *nodes_[teller]->core;
  const auto written = [this] {
    std::vector<std::uint8_t> bytes;
    for (const swim::StreamEffect& effect : outbox_->net.streams()) {
      if (effect.kind == swim::StreamEffect::Kind::kWrite) bytes.assign(effect.bytes.begin(), effect.bytes.end());
    }
    SHOAL_ASSERT(!bytes.empty());
    outbox_->clear();
    return bytes;
  };
  from.push_pull(local(asker), endpoint(teller), *outbox_);
  const swim::StreamId asked = outbox_->net.streams()[0].stream;
  outbox_->clear();
  from.on_stream_connected(local(asker), asked, *outbox_);
  const std::vector<std::uint8_t> question = written();
  swim::StreamId taken = 0;
  SHOAL_ASSERT(to.on_stream_accepted(local(teller), endpoint(asker), taken, *outbox_));
  to.on_stream_bytes(local(teller), taken, question, *outbox_);
  std::vector<std::uint8_t> answer = written();
  to.on_stream_closed(local(teller), taken, *outbox_);
  outbox_->clear();
  from.on_stream_closed(local(asker), asked, *outbox_);
  outbox_->clear();
  return answer;
}

void Cluster::hear_state(std::size_t node, std::size_t teller, Bytes state) {
  serf::Node& core = *nodes_[node]->core;
  core.push_pull(local(node), endpoint(teller), *outbox_);
  const swim::StreamId stream = outbox_->net.streams()[0].stream;
  outbox_->clear();
  core.on_stream_connected(local(node), stream, *outbox_);
  outbox_->clear();
  core.on_stream_bytes(local(node), stream, state, *outbox_);
  SHOAL_ASSERT(outbox_->joins.size() == 1 && outbox_->joins[0].ok);
  outbox_->clear();
}

}  // namespace shoal::test
