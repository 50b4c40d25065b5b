import { ShutdownSignal } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const { HOST = '127.0.0.1', PORT = '3000' } = process.env;

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks([ShutdownSignal.SIGTERM, ShutdownSignal.SIGINT], { useProcessExit: true });
  await app.listen(PORT, HOST);
  console.log(`The service listens on ${await app.getUrl()}`);
}

void bootstrap();
