// Decodes a message of any kind and encodes it again: what is lost or misread on the way shows as different bytes.
#pragma once

#include <optional>
#include <vector>

#include "wire/messages.h"

namespace shoal::wire {

template <typename Message>
std::optional<std::vector<std::uint8_t>> recode_as(Bytes body) {
  Message message;
  if (!decode(body, message)) return std::nullopt;
  std::vector<std::uint8_t> memory(body.size() * 2 + 256);
  ByteWriter out(memory);
  encode(out, message);
  if (!out.ok()) return std::nullopt;
  memory.resize(out.size());
  return memory;
}

/// `message` with its serf type byte. Nothing for what does not decode, for vsn that may not be written, and for kinds
/// that have no encoder.
inline std::optional<std::vector<std::uint8_t>> recode_serf(Bytes message) {
  if (message.empty()) return std::nullopt;
  const Bytes body = message.subspan(1);
  switch (static_cast<SerfType>(message[0])) {
    case SerfType::kLeave: return recode_as<LeaveIntent>(body);
    case SerfType::kJoin: return recode_as<JoinIntent>(body);
    case SerfType::kUserEvent: return recode_as<UserEvent>(body);
    case SerfType::kQuery: return recode_as<Query>(body);
    case SerfType::kQueryResponse: return recode_as<QueryResponse>(body);
    case SerfType::kRelay: return recode_as<Relay>(body);
    case SerfType::kConflictResponse: return recode_as<ConflictResponse>(body);
    case SerfType::kKeyRequest: return recode_as<KeyRequest>(body);
    case SerfType::kKeyResponse: return recode_as<KeyResponse>(body);
    case SerfType::kPushPull: break;
  }
  return std::nullopt;
}

/// `message` with its memberlist type byte; a user message is looked into.
inline std::optional<std::vector<std::uint8_t>> recode(Bytes message) {
  if (message.empty()) return std::nullopt;
  const Bytes body = message.subspan(1);
  switch (static_cast<MessageType>(message[0])) {
    case MessageType::kPing: return recode_as<Ping>(body);
    case MessageType::kIndirectPing: return recode_as<IndirectPing>(body);
    case MessageType::kAck: return recode_as<Ack>(body);
    case MessageType::kSuspect: return recode_as<Suspect>(body);
    case MessageType::kAlive: return recode_as<Alive>(body);
    case MessageType::kDead: return recode_as<Dead>(body);
    case MessageType::kPushPull: return recode_as<PushPullHeader>(body);
    case MessageType::kNack: return recode_as<Nack>(body);
    case MessageType::kErr: return recode_as<Err>(body);
    case MessageType::kUser: {
      auto payload = recode_serf(body);
      if (payload) payload->insert(payload->begin(), message[0]);
      return payload;
    }
    case MessageType::kCompound:
    case MessageType::kCompress:
    case MessageType::kEncrypt:
    case MessageType::kHasCrc:
    case MessageType::kHasLabel: break;
  }
  return std::nullopt;
}

}  // namespace shoal::wire
