// client ADDRESS PORT N: N connections, one after the other, held until the end. Prints each one's source, or "error ERRNO".
use std::net::TcpStream;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let mut held = Vec::new();
    for _ in 0..words[3].parse::<u32>().unwrap() {
        match TcpStream::connect(format!("{}:{}", words[1], words[2])) {
            Ok(stream) => {
                println!("{}", stream.local_addr().unwrap().ip());
                held.push(stream);
            }
            Err(error) => println!("error {}", error.raw_os_error().unwrap_or(0)),
        }
    }
}
