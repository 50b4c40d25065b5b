/** Messages and bytes that nsqd has taken for a topic since it was started. */
export async function countsOf(
  nsqdHttp: string,
  topic: string,
): Promise<{ messages: number; bytes: number }> {
  const response = await fetch(
    `http://${nsqdHttp}/stats?format=json&include_clients=false&topic=${encodeURIComponent(topic)}`,
  );
  const { topics } = (await response.json()) as {
    topics: { topic_name: string; message_count: number; message_bytes: number }[] | null;
  };
  const found = topics?.find(({ topic_name }) => topic_name === topic);
  return { messages: found?.message_count ?? 0, bytes: found?.message_bytes ?? 0 };
}
