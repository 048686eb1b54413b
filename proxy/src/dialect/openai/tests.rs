mod chunks;
mod passthrough;
mod whole;
