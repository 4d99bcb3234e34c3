package dev.kvdrive.kv.extent;

/**
 * Whose keys and values these are. Its tenant is part of the identity of every extent, and so is
 * its sequence where more than a prompt made it: an extent written for one identity never verifies
 * when it is read for another.
 *
 * @param tenant the tenant, or an empty text where there is only one
 * @param sequence the sequence within the tenant, for instance the request's id; two sequences that
 *     follow each other in one seat are told apart even if they share it
 */
public record SequenceIdentity(String tenant, String sequence) {}
